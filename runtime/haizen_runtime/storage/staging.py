"""The place where a model is put: a lock, a staging folder beside or inside it, and a marker that says "complete".

Nothing of a model is seen at the destination before all of it is there. A destination that does not exist or is empty
receives the whole folder by one rename. One that is a mount point (an emptyDir at /mnt/models), or that already holds
something, receives the entries one by one, and the marker last.
"""

import contextlib
import errno
import fcntl
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from haizen_runtime.storage.errors import failed
from haizen_runtime.storage.journal import boot_id

MARKER = ".haizen-model.json"
STAGING = ".haizen-staging"
LOCK = ".haizen-lock"
_NETWORK_FILE_SYSTEMS = frozenset({"nfs", "nfs4", "cifs", "smb3", "ceph", "lustre", "9p", "glusterfs"})


@dataclass(frozen=True)
class Place:
    """A destination and where its helpers lie; ``inside`` when only the destination itself may be written."""

    destination: Path
    inside: bool

    @classmethod
    def at(cls, destination: Path) -> "Place":
        """Decide by what does not change while a download runs: mount points and the parent's permissions."""
        destination = Path(os.path.abspath(destination))
        if destination.is_symlink():
            destination = destination.resolve()
        inside = os.path.ismount(destination) or (
            destination.parent.is_dir() and not os.access(destination.parent, os.W_OK)
        )
        return cls(destination, inside)

    @property
    def staging(self) -> Path:
        """The folder that the download works in, on the same volume as the destination."""
        return self._helper(STAGING)

    @property
    def lock(self) -> Path:
        """The file whose flock admits one process at a time."""
        return self._helper(LOCK)

    @property
    def marker(self) -> Path:
        """The file that exists when, and only when, the model is complete."""
        return self.destination / MARKER

    def _helper(self, name: str) -> Path:
        if self.inside:
            return self.destination / name
        return self.destination.parent / f"{name}-{self.destination.name}"

    @contextlib.contextmanager
    def locked(self, timeout: float, check: Callable[[], None]) -> Iterator[None]:
        """Hold the lock; ``check`` is called while waiting and may raise to give up.

        The kernel drops a flock with its process, so a killed download blocks nobody. The file is removed again by
        the holder; a waiter that locked the removed file notices and starts over.
        """
        descriptor = self._acquire(time.monotonic() + timeout, timeout, check)
        try:
            yield
        finally:
            self.lock.unlink(missing_ok=True)
            os.close(descriptor)

    def _acquire(self, deadline: float, timeout: float, check: Callable[[], None]) -> int:
        while True:
            self.lock.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
            try:
                while not _try_lock(descriptor):
                    check()
                    if time.monotonic() > deadline:
                        raise failed(
                            f"another process has been downloading to {self.destination} for more than "
                            f"{timeout:.0f} s; stop it, or raise HAIZEN_STORAGE_LOCK_TIMEOUT"
                        )
                    time.sleep(0.2)
            except BaseException:
                os.close(descriptor)
                raise
            if _same(descriptor, self.lock):
                return descriptor
            os.close(descriptor)

    def complete(self, source: dict[str, Any]) -> bool:
        """Say whether a complete download of ``source`` lies here, unchanged in names and sizes."""
        marker = self.read_marker()
        if marker is None or marker.get("source") != source:
            return False
        if marker.get("boot") != boot_id() and _file_system(self.destination) not in _NETWORK_FILE_SYSTEMS:
            return False  # the bytes were never synced to this machine's disk, and the machine was restarted since
        files = marker.get("files")
        if not isinstance(files, dict):
            return False
        return all(_size(self.destination / name) == size for name, size in files.items())

    def read_marker(self) -> dict[str, Any] | None:
        """Return the marker's content, None when there is none."""
        try:
            value = json.loads(self.marker.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return value if isinstance(value, dict) else None

    def publish(self, model: Path, source: dict[str, Any]) -> None:
        """Move the folder ``model`` (inside the staging folder) to the destination and mark it complete."""
        files = {
            path.relative_to(model).as_posix(): path.stat().st_size
            for path in sorted(model.rglob("*"))
            if path.is_file()
        }
        text = json.dumps({"source": source, "files": files, "boot": boot_id()}, indent=1, sort_keys=True)
        if not self.inside and not _entries(self.destination):
            (model / MARKER).write_text(text, encoding="utf-8")
            os.rename(model, self.destination)
            return
        former = (self.read_marker() or {}).get("files", {})
        self.marker.unlink(missing_ok=True)
        entries = sorted(entry.name for entry in model.iterdir())
        for name in {str(path).partition("/")[0] for path in former} | set(entries):
            _remove(self.destination / name)
        for name in entries:
            os.rename(model / name, self.destination / name)
        staged = self.staging / MARKER
        staged.write_text(text, encoding="utf-8")
        os.replace(staged, self.marker)

    def discard_staging(self) -> None:
        """Remove the staging folder and all that arrived in it."""
        shutil.rmtree(self.staging, ignore_errors=True)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return False
        raise
    return True


def _same(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1


def _entries(directory: Path) -> list[str]:
    try:
        return os.listdir(directory)
    except FileNotFoundError:
        return []


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _file_system(path: Path) -> str:
    """Return the type of the file system under ``path`` by the longest mount point; empty off Linux."""
    best, kind = "", ""
    try:
        lines = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    text = f"{path}/"
    for line in lines:
        fields = line.split(" ")
        point = fields[1].encode().decode("unicode_escape").rstrip("/") + "/"
        if text.startswith(point) and len(point) >= len(best):
            best, kind = point, fields[2]
    return kind
