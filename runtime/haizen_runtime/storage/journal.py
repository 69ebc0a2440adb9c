"""How much of a file has arrived, kept beside it so that a killed download resumes."""

import json
import os
import struct
from pathlib import Path

from haizen_runtime.storage.sources import RemoteFile

_COUNT = struct.Struct("<Q")


def boot_id() -> str:
    """Identify this boot of this machine.

    Bytes in the page cache survive the death of a process but not of the machine, and nothing here is synced to
    disk: a journal from another boot proves nothing.
    """
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return "unknown"


class PartJournal:
    """Bytes done of each part of one file, written after the bytes themselves.

    The head (which version, which part size) is replaced atomically; the counts are eight bytes each at a fixed
    place, so that an update is one small write.
    """

    def __init__(self, stem: Path, file: RemoteFile, part_bytes: int) -> None:
        self._head = stem.with_suffix(".json")
        self._counts_path = stem.with_suffix(".parts")
        self._provable = file.resumable and file.version is not None
        self._identity = {
            "path": file.path, "version": file.version, "size": file.size, "part_bytes": part_bytes, "boot": boot_id(),
        }  # fmt: skip
        self._counts = -1

    def open(self) -> bool:
        """Open the counts; True when they are those of a former download of the same version, else all are zero."""
        resumed = self._provable and self._matches()
        if not resumed:
            self.discard()
            staged = self._head.with_suffix(".tmp")
            staged.write_text(json.dumps(self._identity), encoding="utf-8")
            os.replace(staged, self._head)
        self._counts = os.open(self._counts_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        return resumed

    def done(self, index: int) -> int:
        """Return how many bytes of part ``index`` are in the file."""
        data = os.pread(self._counts, _COUNT.size, index * _COUNT.size)
        return int(_COUNT.unpack(data)[0]) if len(data) == _COUNT.size else 0

    def record(self, index: int, count: int) -> None:
        """Note that the first ``count`` bytes of part ``index`` are in the file."""
        os.pwrite(self._counts, _COUNT.pack(count), index * _COUNT.size)

    def close(self) -> None:
        """Close the file of counts."""
        if self._counts >= 0:
            os.close(self._counts)
            self._counts = -1

    def discard(self) -> None:
        """Forget everything: the file begins anew."""
        self._head.unlink(missing_ok=True)
        self._counts_path.unlink(missing_ok=True)

    def _matches(self) -> bool:
        try:
            return bool(json.loads(self._head.read_text(encoding="utf-8")) == self._identity)
        except (OSError, ValueError):
            return False
