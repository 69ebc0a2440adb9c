"""Digests of files: which algorithm a promise means, and computing them while the rest still arrives."""

import hashlib
import os
import threading
from typing import Any

from haizen_runtime.storage.sources import Checksum

_BLOCK = 4 << 20


def new_digest(checksum: Checksum, size: int) -> Any:
    """Return the hash object for ``checksum``; git-sha1 is sha1 over ``blob <size>\\0`` and the bytes."""
    if checksum.algorithm == "git-sha1":
        return hashlib.sha1(f"blob {size}\0".encode(), usedforsecurity=False)
    return hashlib.new(checksum.algorithm, usedforsecurity=checksum.algorithm == "sha256")


class ProgressiveDigest:
    """Hashes the finished front of a file while later parts still arrive.

    Hashing 5 GB takes seconds; done along the way it costs a cold start nothing. The interpreter's lock is free
    while hashlib works and the bytes come from the page cache.
    """

    def __init__(self, checksum: Checksum, size: int, descriptor: int) -> None:
        self._digest = new_digest(checksum, size)
        self._descriptor = descriptor
        self._position = 0
        self._lock = threading.Lock()

    def advance(self, upto: int, *, wait: bool = False) -> None:
        """Hash the bytes before ``upto`` that are not hashed yet; another thread at it is not waited for."""
        if not self._lock.acquire(blocking=wait):
            return
        try:
            while self._position < upto:
                block = os.pread(self._descriptor, min(_BLOCK, upto - self._position), self._position)
                if not block:
                    return
                self._digest.update(block)
                self._position += len(block)
        finally:
            self._lock.release()

    def finish(self, size: int) -> str:
        """Return the hexadecimal digest of the first ``size`` bytes."""
        self.advance(size, wait=True)
        return str(self._digest.hexdigest())
