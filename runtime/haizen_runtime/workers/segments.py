"""Memory shared by two processes: a sealed memfd whose descriptor goes over the socket. Never a name in /dev/shm."""

from __future__ import annotations

import fcntl
import mmap
import os
import tempfile
from collections.abc import Sequence

Buffer = bytes | memoryview

ALIGNMENT = 64
"""Where a tensor may begin: a cache line, which is enough for any vector instruction."""
_MAX_WRITE = 1 << 30


class BrokenSegment(ValueError):
    """A descriptor that is not a sealed segment of the promised size."""


def aligned(offset: int) -> int:
    """The next offset at which a tensor may begin."""
    return -(-offset // ALIGNMENT) * ALIGNMENT


def write_segment(pieces: Sequence[tuple[int, Buffer]], size: int) -> int:
    """Put buffers at their offsets into new shared memory of `size` bytes; returns its descriptor, to be closed."""
    descriptor = _new()
    try:
        os.ftruncate(descriptor, size)
        for offset, buffer in pieces:
            view, done = memoryview(buffer).cast("B"), 0
            while done < len(view):
                done += os.pwrite(descriptor, view[done : done + _MAX_WRITE], offset + done)
        if _SEALS:
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS | fcntl.F_SEAL_SEAL)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def map_segment(descriptor: int, writable: bool) -> memoryview:
    """The memory behind a descriptor, which this closes. Writing to it (when asked for) changes a private copy.

    Raises BrokenSegment when its sender could still shorten it: reading past its end would end this process.
    """
    try:
        if _SEALS:
            try:
                seals = fcntl.fcntl(descriptor, fcntl.F_GET_SEALS)
            except OSError as error:
                raise BrokenSegment("the descriptor is no shared memory") from error
            if seals & _SEALS != _SEALS:
                raise BrokenSegment("the shared memory is not sealed")
        size = os.fstat(descriptor).st_size
        if size == 0:
            raise BrokenSegment("the shared memory is empty")
        access = mmap.ACCESS_COPY if writable else mmap.ACCESS_READ
        return memoryview(mmap.mmap(descriptor, size, access=access))
    finally:
        os.close(descriptor)


if hasattr(os, "memfd_create"):
    _SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE

    def _new() -> int:
        return os.memfd_create("haizen-tensors", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)

else:  # macOS: an unlinked file, which nobody else can open; it has no seals
    _SEALS = 0

    def _new() -> int:
        with tempfile.TemporaryFile() as file:
            return os.dup(file.fileno())
