"""file:// URIs and plain paths (pvc mounts among them): files on this machine."""

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from haizen_runtime.storage.errors import DownloadError, SourceChanged, TransientError, failed, misconfigured
from haizen_runtime.storage.sources import Body, Checksum, RemoteFile
from haizen_runtime.storage.uris import ModelUri

_CHUNK = 1 << 20


def local_path(uri: ModelUri) -> Path:
    """Return the path of a ``file`` URI; raises DownloadError when it names another machine."""
    rest = uri.without_fragment
    if rest.lower().startswith("file://"):
        rest = rest[len("file://") :]
        host, slash, path = rest.partition("/")
        if host == "localhost" and slash:
            rest = slash + path
        # file://models/iris (two slashes) is what KServe reads as the relative path models/iris.
        if not Path(rest).exists():
            rest = unquote(rest)
    if not rest:
        raise misconfigured("the file URI holds no path", uri.text)
    return Path(rest)


class FileSource:
    """A file or a folder; links inside a folder are followed only when they stay inside it."""

    def __init__(self, path: Path, uri: str, checksum: Checksum | None = None) -> None:
        self._path, self._uri, self._checksum = path, uri, checksum

    def files(self) -> list[RemoteFile]:
        """Return the file, or every regular file below the folder."""
        try:
            root = self._path.resolve(strict=True)
            if not root.is_dir():
                return [self._describe(root, self._path.name)]
            files = [self._describe(path, path.relative_to(root).as_posix()) for path in self._walk(root)]
        except FileNotFoundError:
            raise failed(f"there is no file or folder {self._path}", self._uri) from None
        except OSError as error:
            raise self._unreadable(error) from None
        if not files:
            raise failed(f"the folder {self._path} holds no files", self._uri)
        return files

    def _walk(self, root: Path) -> Iterator[Path]:
        for folder, _, names in os.walk(root, followlinks=False):
            for name in sorted(names):
                path = Path(folder, name)
                if name.startswith(".haizen-"):
                    continue
                if path.is_symlink() and not path.resolve().is_relative_to(root):
                    raise failed(
                        f"{path} is a link that leads out of the folder; copy the file there instead", self._uri
                    )
                if path.is_file():
                    yield path

    def _describe(self, path: Path, name: str) -> RemoteFile:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise failed(f"{path} is neither a file nor a folder", self._uri)
        version = f"{status.st_ino}-{status.st_mtime_ns}-{status.st_size}"
        return RemoteFile(name, str(path), status.st_size, version, True, self._checksum)

    @contextlib.contextmanager
    def _open(self, file: RemoteFile, offset: int, length: int | None) -> Iterator[Body]:
        try:
            with open(file.key, "rb", buffering=0) as handle:
                status = os.fstat(handle.fileno())
                if f"{status.st_ino}-{status.st_mtime_ns}-{status.st_size}" != file.version:
                    raise SourceChanged
                yield _chunks(handle.fileno(), offset, length)
        except FileNotFoundError:
            raise SourceChanged from None
        except PermissionError as error:
            raise self._unreadable(error) from None

    def open(self, file: RemoteFile, offset: int, length: int | None) -> contextlib.AbstractContextManager[Body]:
        """See ``Source.open``."""
        return self._open(file, offset, length)

    def doubts(self, file: RemoteFile) -> bool:
        """The promise comes from the user or is a digest by definition."""
        return False

    def close(self) -> None:
        """Nothing is held."""

    def _unreadable(self, error: OSError) -> DownloadError:
        return failed(f"{error.filename or self._path} cannot be read: {error.strerror or error}", self._uri)


def _chunks(descriptor: int, offset: int, length: int | None) -> Iterator[memoryview]:
    buffer = bytearray(_CHUNK)
    view = memoryview(buffer)
    while length is None or length > 0:
        count = os.preadv(descriptor, [view[: _CHUNK if length is None else min(_CHUNK, length)]], offset)
        if not count:
            if length:
                raise TransientError(f"the file ended with {length} bytes to go")
            return
        yield view[:count]
        offset += count
        length = None if length is None else length - count
