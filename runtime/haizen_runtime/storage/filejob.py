"""One file on its way to the disk: its descriptor, its journal and its digest."""

import errno
import os
import threading
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from haizen_runtime.storage.checksums import ProgressiveDigest
from haizen_runtime.storage.errors import ChecksumMismatch
from haizen_runtime.storage.journal import PartJournal
from haizen_runtime.storage.sources import RemoteFile


class FileJob:
    """A file in parts that several threads fill; opened by the first of them and closed after the last.

    A model may have more files than a process may have descriptors.
    """

    def __init__(self, file: RemoteFile, data: Path, state: Path, part_bytes: int) -> None:
        self.file = file
        size = file.size
        self.parts: list[tuple[int, int | None]] = [(0, size)]
        """(offset, length) of every part; one part for a file that cannot be resumed, its length maybe unknown."""
        if file.resumable and size:
            self.parts = [(offset, min(part_bytes, size - offset)) for offset in range(0, size, part_bytes)]
        self._target = data / file.path
        name = sha256(file.path.encode(), usedforsecurity=False).hexdigest()[:32]
        self._journal = PartJournal(state / name, file, part_bytes)
        self._descriptor = -1
        self._digest: ProgressiveDigest | None = None
        self._left = set(range(len(self.parts)))
        self._lock = threading.Lock()

    def open(self) -> int:
        """Open the file unless it is open; returns the bytes that a former download left, when it opened it now."""
        with self._lock:
            if self._descriptor >= 0:
                return 0
            self._target.parent.mkdir(parents=True, exist_ok=True)
            resumed = self._journal.open()
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | (0 if resumed else os.O_TRUNC)
            self._descriptor = os.open(self._target, flags, 0o644)
            if self.file.resumable and self.file.checksum is not None:
                self._digest = ProgressiveDigest(self.file.checksum, self.file.size or 0, self._descriptor)
            return sum(self.done(index) for index in range(len(self.parts))) if self.file.resumable else 0

    def close(self) -> None:
        """Close the descriptors; the journal stays on disk."""
        with self._lock:
            self._journal.close()
            if self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor = -1

    def done(self, index: int) -> int:
        """Bytes of part ``index`` that are in the file."""
        return self._journal.done(index)

    def record(self, index: int, count: int) -> None:
        """Note that the first ``count`` bytes of part ``index`` are in the file."""
        self._journal.record(index, count)

    def restart(self, index: int) -> int:
        """Empty a file that cannot be resumed; returns the bytes that are lost."""
        lost = self.done(index)
        self.record(index, 0)
        os.ftruncate(self._descriptor, 0)
        return lost

    def write(self, chunk: memoryview | bytes, position: int) -> None:
        """Write all of ``chunk`` at ``position``; raises OSError when the disk is full."""
        view = memoryview(chunk)
        while view:
            written = os.pwrite(self._descriptor, view, position)
            if not written:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            view, position = view[written:], position + written

    def part_finished(self, index: int) -> bool:
        """Note a finished part and hash as far as the finished front reaches; True when it was the last part."""
        with self._lock:
            self._left.discard(index)
            last = not self._left
            front = 0 if last else self.parts[min(self._left)][0]
        if self._digest is not None and front:
            self._digest.advance(front)
        return last

    def verify(self, uri: str, doubts: Callable[[RemoteFile], bool]) -> None:
        """Compare the digest with the promise, if there is one; ``doubts`` is asked when they differ.

        Raises ChecksumMismatch and forgets the bytes; what ``doubts`` raises passes, and the call may be repeated.
        """
        expected = self.file.checksum
        if expected is None:
            return
        size = os.fstat(self._descriptor).st_size
        digest = self._digest or ProgressiveDigest(expected, size, self._descriptor)
        found = digest.finish(size)
        if found != expected.hexdigest and not doubts(self.file):
            self._journal.discard()
            raise ChecksumMismatch(
                f"{self.file.path}: the {expected.algorithm} of what arrived is {found}, expected {expected.hexdigest}",
                uri,
            )
