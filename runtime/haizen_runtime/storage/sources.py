"""What every kind of source offers: a list of files, and bytes of one of them from an offset."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

ProgressCallback = Callable[[int, int | None, str], None]
"""Called with (bytes done of the whole model, total bytes or None, path of the file that moved)."""


@dataclass(frozen=True)
class Checksum:
    """A promise about a file's bytes: ``algorithm`` is sha256, md5 or git-sha1 (git's blob hash)."""

    algorithm: str
    hexdigest: str


@dataclass(frozen=True)
class RemoteFile:
    """One file at the source.

    Attributes:
        path: relative POSIX path below the destination.
        key: how the source itself calls it.
        size: bytes, None when the source does not say.
        version: what changes when the bytes change (an ETag, a date); None when the source has nothing of the kind.
        resumable: ranges of one and the same version can be asked for.
        checksum: the promise about its bytes, if there is one.
    """

    path: str
    key: str
    size: int | None
    version: str | None
    resumable: bool
    checksum: Checksum | None = None


class Body(Protocol):
    """Bytes on their way; closing it early is allowed."""

    def __iter__(self) -> Iterator[memoryview | bytes]:
        """Yield the bytes in chunks of at most a few MiB; raises TransientError when they stop early."""
        ...


class Source(Protocol):
    """A place that models come from; its methods are called from several threads."""

    def files(self) -> list[RemoteFile]:
        """Return the files, never empty.

        Raises DownloadError for good, TransientError for an attempt that may be repeated.
        """
        ...

    def open(self, file: RemoteFile, offset: int, length: int | None) -> AbstractContextManager[Body]:
        """Return ``length`` bytes from ``offset`` (None: to the end) of exactly this version of ``file``.

        Raises SourceChanged when the source holds another version now, otherwise as ``files``.
        """
        ...

    def doubts(self, file: RemoteFile) -> bool:
        """Say whether a promise that the source made for ``file`` and that does not hold is no digest at all.

        Raises as ``files`` when the source cannot be asked.
        """
        ...

    def close(self) -> None:
        """Drop connections; open bodies end with an error."""
        ...
