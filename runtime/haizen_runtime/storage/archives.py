"""Unpack an archive from a stranger: regular files and folders only, inside the root, within bounds.

Python's own extraction filters have been bypassed several times, so nothing here extracts by name: members are read
and written by this module into a folder that only it fills.
"""

import contextlib
import gzip
import io
import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from haizen_runtime.storage.errors import DownloadError, failed
from haizen_runtime.storage.limits import MIB, Limits
from haizen_runtime.storage.paths import UnsafePath, human, safe_relative

_BLOCK = MIB
RATIO_FLOOR = 64 * MIB
_MAX_HEADER = MIB
_MAX_DIRECTORY = 64 * MIB


def unpack(
    archive: Path, kind: str, root: Path, limits: Limits, uri: str, check: Callable[[], None] = lambda: None
) -> None:
    """Unpack ``archive`` into the empty folder ``root``; archives inside it are left packed.

    Raises DownloadError for a member that is no file or folder, a name that leads out, a broken archive or one that
    exceeds the limits. ``check`` is called between blocks and may raise.
    """
    target = _Target(root, archive.stat().st_size, limits, uri, check)
    try:
        if kind == "zip":
            _unpack_zip(archive, target)
        else:
            _unpack_tar(archive, kind, target)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error, gzip.BadGzipFile, UnicodeError) as error:
        raise failed(f"{archive.name} is broken or no {kind} archive: {error}", uri) from None
    except (NotImplementedError, RuntimeError) as error:
        raise failed(f"{archive.name} cannot be unpacked: {error}", uri) from None
    if not target.files:
        raise failed(f"{archive.name} holds no files", uri)


class _Target:
    """The folder that is filled, and the count of what went into it."""

    def __init__(self, root: Path, packed: int, limits: Limits, uri: str, check: Callable[[], None]) -> None:
        self._root, self._packed, self._limits, self._uri, self._check = root.resolve(), packed, limits, uri, check
        self._members = 0
        self._bytes = 0
        self.files = 0

    def refuse(self, name: str, why: str) -> DownloadError:
        return failed(f"the archive's member {name[:200]!r} is refused: {why}", self._uri)

    def path(self, name: str) -> Path:
        """Return where a member goes; counts it."""
        self._members += 1
        if self._members > self._limits.max_files:
            raise failed(
                f"the archive has more than {self._limits.max_files} members (HAIZEN_STORAGE_MAX_FILES)", self._uri
            )
        try:
            path = self._root / safe_relative(name)
        except UnsafePath as error:
            raise self.refuse(name, str(error)) from None
        if not Path(os.path.realpath(path)).is_relative_to(self._root):
            raise self.refuse(name, "it leads out of the folder")
        return path

    def folder(self, name: str) -> None:
        path = self.path(name)
        try:
            path.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise self.refuse(name, "it is a folder where another member is a file") from None

    def file(self, name: str, source: IO[bytes]) -> None:
        path = self.path(name)
        if path == self._root:
            raise self.refuse(name, "it has no name")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(path, flags, 0o644)
        except (FileExistsError, NotADirectoryError, IsADirectoryError):
            raise self.refuse(name, "another member has the same name") from None
        with open(descriptor, "wb", buffering=0) as sink:
            while block := source.read(_BLOCK):
                self.count(len(block))
                view = memoryview(block)
                while view:
                    view = view[sink.write(view) :]
        self.files += 1

    def count(self, size: int) -> None:
        """Add bytes that came out; raises when that is too many."""
        self._check()
        self._bytes += size
        limits = self._limits
        if self._bytes > limits.max_unpacked_bytes:
            raise failed(
                f"the archive unpacks to more than {human(limits.max_unpacked_bytes)} "
                "(HAIZEN_STORAGE_MAX_UNPACKED_BYTES)",
                self._uri,
            )
        if self._bytes > RATIO_FLOOR and self._bytes > self._packed * limits.max_unpack_ratio:
            raise failed(
                f"the archive unpacks to more than {limits.max_unpack_ratio} times its size "
                "(HAIZEN_STORAGE_MAX_UNPACK_RATIO), as only decompression bombs do",
                self._uri,
            )


class _Bounded(io.RawIOBase):
    """What tarfile reads from: counts all that is decompressed, also what is skipped, and refuses giant headers.

    tarfile reads a member's extended header in one piece, so a header that claims gigabytes would be all of memory.
    """

    def __init__(self, stream: IO[bytes], target: _Target) -> None:
        self._stream, self._target = stream, target
        self._position = 0

    def read(self, size: int = -1) -> bytes:
        if size < 0 or size > max(_BLOCK, _MAX_HEADER):
            raise tarfile.ReadError(f"a header of {size} bytes")
        data = self._stream.read(size)
        self._position += len(data)
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if whence != os.SEEK_SET or offset < self._position:
            raise tarfile.ReadError("the archive is not read in order")
        while self._position < offset:
            skipped = self._stream.read(min(_BLOCK, offset - self._position))
            if not skipped:
                break
            self._target.count(len(skipped))
            self._position += len(skipped)
        return self._position

    def tell(self) -> int:
        return self._position


def _unpack_tar(archive: Path, kind: str, target: _Target) -> None:
    with contextlib.ExitStack() as stack:
        raw: Any = stack.enter_context(open(archive, "rb"))
        if kind == "tgz" and raw.peek(2)[:2] == b"\x1f\x8b":
            raw = stack.enter_context(gzip.GzipFile(fileobj=raw))
        # A .tar.gz without gzip's magic is a plain tar that was named wrongly or unpacked by a server on the way.
        with tarfile.open(fileobj=_Bounded(raw, target), mode="r:", errorlevel=2) as members:
            for member in members:
                members.members.clear()  # type: ignore[attr-defined] # tarfile keeps every member otherwise
                if member.isdir():
                    target.folder(member.name)
                elif member.isreg() and not member.issparse():
                    source = members.extractfile(member)
                    if source is None:
                        raise target.refuse(member.name, "it has no content")
                    with source:
                        target.file(member.name, source)
                else:
                    raise target.refuse(member.name, f"it is {_tar_type(member)}; only files and folders are unpacked")


def _tar_type(member: tarfile.TarInfo) -> str:
    kinds = {
        tarfile.SYMTYPE: "a symbolic link",
        tarfile.LNKTYPE: "a hard link",
        tarfile.CHRTYPE: "a device",
        tarfile.BLKTYPE: "a device",
        tarfile.FIFOTYPE: "a named pipe",
    }
    return kinds.get(member.type, "a sparse file" if member.issparse() else "of an unknown type")


def _unpack_zip(archive: Path, target: _Target) -> None:
    _check_directory_size(archive)
    with zipfile.ZipFile(archive) as members:
        for member in members.infolist():
            kind = stat.S_IFMT(member.external_attr >> 16) if member.create_system == 3 else 0
            if kind and not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
                what = "a symbolic link" if stat.S_ISLNK(kind) else "a device or pipe"
                raise target.refuse(member.filename, f"it is {what}; only files and folders are unpacked")
            if member.flag_bits & 0x1:
                raise target.refuse(member.filename, "it is encrypted")
            if member.is_dir():
                target.folder(member.filename)
                continue
            with members.open(member) as source:
                target.file(member.orig_filename, source)


def _check_directory_size(archive: Path) -> None:
    """Refuse a table of contents that would fill the memory; zipfile reads it in one piece."""
    with open(archive, "rb") as handle:
        end = zipfile._EndRecData(handle)  # type: ignore[attr-defined]
    if end is not None and end[zipfile._ECD_SIZE] > _MAX_DIRECTORY:  # type: ignore[attr-defined]
        raise zipfile.BadZipFile(f"its table of contents has {human(end[zipfile._ECD_SIZE])}")  # type: ignore[attr-defined]
