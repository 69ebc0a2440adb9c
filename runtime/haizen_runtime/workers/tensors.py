"""Tensors in messages: small ones within, the others in one shared segment that goes along."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from haizen_runtime.protocol.dtypes import NUMPY_OF, datatype_of
from haizen_runtime.protocol.shapes import checked_shape
from haizen_runtime.protocol.tensor_bytes import array_from_bytes, bytes_from_array
from haizen_runtime.workers.segments import Buffer, aligned, map_segment, write_segment

Array = np.ndarray[Any, Any]
Described = list[Any]
"""name, datatype, shape, offset in the segment, length, and the bytes themselves when they are not in the segment."""

INLINE_BYTES: Final = 32 * 1024
"""Up to this much a message's tensors are part of it: making and mapping shared memory costs more than the copies."""


def pack(arrays: Mapping[str, Array]) -> tuple[list[Described], int | None]:
    """What a message says about tensors, and the descriptor of the segment that holds them, if they need one."""
    encoded: list[tuple[str, str, Array, Buffer, int]] = []
    total = 0
    for name, array in arrays.items():
        datatype = datatype_of(array)
        buffer = bytes_from_array(array, datatype)
        length = buffer.nbytes if isinstance(buffer, memoryview) else len(buffer)
        encoded.append((name, datatype, array, buffer, length))
        total += length
    if total <= INLINE_BYTES:
        return [[name, kind, list(array.shape), 0, n, bytes(data)] for name, kind, array, data, n in encoded], None
    described: list[Described] = []
    pieces: list[tuple[int, Buffer]] = []
    end = 0
    for name, datatype, array, buffer, length in encoded:
        start = aligned(end)
        end = start + length
        pieces.append((start, buffer))
        described.append([name, datatype, list(array.shape), start, length, None])
    return described, write_segment(pieces, end)


def bytes_of(described: Sequence[Described]) -> int:
    """How many bytes the tensors of a message have."""
    return sum(length for _, _, _, _, length, _ in described)


def unpack(described: Any, descriptor: int | None, writable: bool) -> dict[str, Array]:
    """The tensors of a message, without a copy where they lie in a segment; `descriptor` is closed.

    Raises ValueError, TypeError or InvalidInput for what no honest sender writes.
    """
    segment = None if descriptor is None else map_segment(descriptor, writable)
    arrays = {}
    for name, datatype, shape, start, length, inline in described:
        if not isinstance(name, str) or datatype not in NUMPY_OF:
            raise ValueError("a tensor has no name or an unknown datatype")
        if inline is None:
            if segment is None or not 0 <= start <= start + length <= len(segment):
                raise ValueError(f"the tensor {name[:80]} is not within the shared memory")
            array = array_from_bytes(segment, start, start + length, datatype, checked_shape(shape, name), name)
        else:
            array = array_from_bytes(inline, 0, len(inline), datatype, checked_shape(shape, name), name)
        if writable and not array.flags.writeable:
            array = array.copy()
        arrays[name] = array
    return arrays
