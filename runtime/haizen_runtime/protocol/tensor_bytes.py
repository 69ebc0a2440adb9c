"""Tensors as bytes: row-major, little-endian, as gRPC's raw contents and HTTP's binary tensors carry them. Pure.

BF16 has no numpy type. Here such a tensor is a float32 array, which holds each of its values exactly, so that every
backend can compute with it and nothing more needs to be installed; going back rounds to the nearest, ties to even.
"""

from __future__ import annotations

import struct
from typing import Any, Final

import numpy as np

from haizen_runtime.protocol.dtypes import NUMPY_OF
from haizen_runtime.protocol.errors import InvalidInput
from haizen_runtime.protocol.shapes import element_count

Array = np.ndarray[Any, Any]
Buffer = bytes | memoryview

WIRE_TYPE_OF: Final[dict[str, np.dtype[Any]]] = {
    name: dtype.newbyteorder("<") for name, dtype in NUMPY_OF.items() if name not in ("BYTES", "BF16")
} | {"BF16": np.dtype("<u2")}
"""How an element lies in the bytes."""

_LENGTH: Final = struct.Struct("<I")
_SMALL_BYTES: Final = 512
"""Up to this, a copy is cheaper than a view, or than a look at its alignment."""


_PLAIN: Final = {name: WIRE_TYPE_OF[name] for name in ("FP32", "FP64", "INT32", "INT64", "UINT8")}


def few_from_bytes(data: bytes, start: int, end: int, datatype: str, shape: tuple[int, ...]) -> Array | None:
    """A small tensor in data[start:end], copied: what most requests to small models hold.

    None for whatever needs the closer look of `array_from_bytes`, which gives the same array or says what is wrong.
    """
    dtype = _PLAIN.get(datatype)
    if dtype is None or end - start > _SMALL_BYTES:
        return None
    size = dtype.itemsize
    for each in shape:
        size *= each
    return np.frombuffer(data[start:end], dtype).reshape(shape) if 0 < size == end - start else None


def array_from_bytes(
    data: bytes | bytearray | memoryview, start: int, end: int, datatype: str, shape: tuple[int, ...], where: str
) -> Array:
    """The tensor in data[start:end], without a copy where its alignment allows that (the array is then read-only).

    Raises InvalidInput naming `where` when the bytes are not what datatype and shape need.
    """
    count = element_count(shape, where)
    if datatype == "BYTES":
        return _strings(data, start, end, count, where).reshape(shape)
    dtype = WIRE_TYPE_OF[datatype]
    if end - start != count * dtype.itemsize:
        raise InvalidInput(
            f"{where}: {datatype} data of shape {list(shape)} has {count * dtype.itemsize} bytes, found {end - start}."
        )
    array: Array = np.frombuffer(data, dtype, count, start) if count else np.empty(0, dtype)
    if datatype == "BOOL":
        array = array.view(np.uint8) != 0  # any other byte than 0 or 1 would not be a boolean to numpy
    elif datatype == "BF16":
        array = widened(array)
    elif not array.flags.aligned:
        array = array.copy()  # compiled model code may rely on it
    return array.reshape(shape)


def bytes_from_array(array: Array, datatype: str) -> Buffer:
    """A tensor's bytes; a view of the array where that is what they are."""
    if datatype == "BYTES":
        return b"".join(_counted(as_bytes(value)) for value in array.ravel().tolist())
    dtype = WIRE_TYPE_OF[datatype]
    if datatype == "BF16":
        array = narrowed(array)
    if array.nbytes <= _SMALL_BYTES and array.dtype == dtype:
        return array.tobytes()
    array = np.ascontiguousarray(array, dtype)
    return array.reshape(-1).view(np.uint8).data


def widened(bits: Array) -> Array:
    """BF16 as float32, from its 16 bits."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


def narrowed(array: Array) -> Array:
    """The 16 bits of BF16 nearest to each float32; NaN stays NaN."""
    bits = np.ascontiguousarray(array, np.float32).view(np.uint32)
    rounded = ((bits + (((bits >> 16) & 1) + np.uint32(0x7FFF))) >> 16).astype(np.uint16)
    return np.where(np.isnan(array), np.uint16(0x7FC0), rounded)


def as_bytes(value: Any) -> bytes:
    """An element of a BYTES tensor; text becomes UTF-8."""
    if isinstance(value, bytes):
        return value
    return (value if isinstance(value, str) else str(value)).encode("utf-8", "replace")


def _counted(value: bytes) -> bytes:
    return _LENGTH.pack(len(value)) + value


def _strings(data: bytes | bytearray | memoryview, start: int, end: int, count: int, where: str) -> Array:
    """BYTES elements: each with its length in four bytes before it."""
    if count * 4 > end - start:
        raise InvalidInput(f"{where}: {count} BYTES elements do not fit into {end - start} bytes.")
    array = np.empty(count, object)
    position = start
    for index in range(count):
        if position + 4 > end:
            raise InvalidInput(f"{where}: the data ends before BYTES element {index} of {count}.")
        (length,) = _LENGTH.unpack_from(data, position)
        position += 4
        if position + length > end:
            raise InvalidInput(f"{where}: BYTES element {index} has {length} bytes, {end - position} are left.")
        array[index] = bytes(data[position : position + length])
        position += length
    if position != end:
        raise InvalidInput(f"{where}: {end - position} bytes are left after {count} BYTES elements.")
    return array
