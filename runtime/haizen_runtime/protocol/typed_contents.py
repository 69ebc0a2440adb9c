"""Tensors as InferTensorContents, the Open Inference Protocol's typed fields. Pure.

FP16 and BF16 have no field there (the protocol's rule): they travel as raw contents only.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import numpy as np

from haizen_runtime.protocol.errors import InvalidInput, MalformedMessage
from haizen_runtime.protocol.shapes import element_count
from haizen_runtime.protocol.tensor_bytes import as_bytes
from haizen_runtime.protocol.wire import FIXED32, FIXED64, LENGTH, VARINT, bytes_field, read_fields, varint

Array = np.ndarray[Any, Any]
Span = tuple[int, int]

FIELD_OF: Final = {
    "BOOL": 1,
    "INT8": 2, "INT16": 2, "INT32": 2,
    "INT64": 3,
    "UINT8": 4, "UINT16": 4, "UINT32": 4,
    "UINT64": 5,
    "FP32": 6,
    "FP64": 7,
    "BYTES": 8,
}  # fmt: skip
"""Which field of InferTensorContents holds a datatype's elements."""

NAME_OF: Final = {
    1: "bool_contents", 2: "int_contents", 3: "int64_contents", 4: "uint_contents",
    5: "uint64_contents", 6: "fp32_contents", 7: "fp64_contents", 8: "bytes_contents",
}  # fmt: skip

_FLOATS: Final[dict[int, np.dtype[Any]]] = {6: np.dtype("<f4"), 7: np.dtype("<f8")}
_KINDS: Final = {
    **dict.fromkeys(range(1, 6), (LENGTH, VARINT)),
    6: (LENGTH, FIXED32),
    7: (LENGTH, FIXED64),
    8: (LENGTH,),
}
"""The wire types of each field: packed or one by one."""
_SMALL: Final = 32
"""Up to this many bytes a Python loop is faster than numpy."""


def array_from_contents(data: bytes, spans: Iterable[Span], datatype: str, shape: tuple[int, ...], where: str) -> Array:
    """The tensor in the `contents` messages at `spans` (usually one). Raises InvalidInput or MalformedMessage."""
    count = element_count(shape, where)
    wanted = FIELD_OF.get(datatype)
    if wanted is None:
        raise InvalidInput(f"{where}: {datatype} data has no typed contents; send it as raw_input_contents.")
    parts: list[Array] = []
    strings: list[bytes] = []
    for start, end in spans:
        for each, first, stop in read_fields(data, start, end):
            number, kind = each >> 3, each & 7
            if kind not in _KINDS.get(number, ()):
                continue
            if number != wanted:
                if kind == LENGTH and first == stop and number != 8:
                    continue  # an empty packed field says nothing
                raise InvalidInput(f"{where}: {datatype} data belongs into {NAME_OF[wanted]}, not {NAME_OF[number]}.")
            if number == 8:
                strings.append(data[first:stop])
            elif number in _FLOATS:
                parts.append(_floats(data, number, kind, first, stop))
            elif kind == LENGTH:
                parts.append(varints(data, first, stop))
            else:
                parts.append(np.array([first], np.uint64))
    if number_of(parts, strings) != count:
        raise InvalidInput(
            f"{where}: shape {list(shape)} needs {count} element{'' if count == 1 else 's'}, "
            f"{NAME_OF[wanted]} has {number_of(parts, strings)}."
        )
    if datatype == "BYTES":
        array = np.empty(count, object)
        array[:] = strings
        return array.reshape(shape)
    if not parts:
        return np.empty(shape, _DTYPES[datatype])
    joined = parts[0] if len(parts) == 1 else np.concatenate(parts)
    return _converted(joined, datatype, where).reshape(shape)


def contents_from_array(array: Array, datatype: str) -> bytes:
    """The `contents` message of a tensor whose datatype has a field there."""
    number = FIELD_OF[datatype]
    flat = array.reshape(-1)
    if number == 8:
        return b"".join([bytes_field(8, as_bytes(value)) for value in flat.tolist()])
    if not flat.size:
        return b""
    if number in _FLOATS:
        return bytes_field(number, np.ascontiguousarray(flat, _FLOATS[number]).tobytes())
    return bytes_field(number, packed_varints(flat))


def varints(data: bytes, start: int, end: int) -> Array:
    """All varints in data[start:end] as uint64. Raises MalformedMessage."""
    if end - start <= _SMALL:
        return _few_varints(data, start, end)
    octets = np.frombuffer(data, np.uint8, end - start, start)
    last = np.flatnonzero(octets < 0x80)
    if not last.size or last[-1] != octets.size - 1:
        raise MalformedMessage("The protobuf message ends inside a number.")
    first = np.empty_like(last)
    first[0] = 0
    first[1:] = last[:-1] + 1
    lengths = last - first + 1
    longest = int(lengths.max())
    if longest > 10:
        raise MalformedMessage("The protobuf message holds a number longer than 64 bits.")
    values = (octets[first] & 0x7F).astype(np.uint64)
    for index in range(1, longest):
        more = np.flatnonzero(lengths > index)
        values[more] |= (octets[first[more] + index] & 0x7F).astype(np.uint64) << np.uint64(7 * index)
    return values


def packed_varints(array: Array) -> bytes:
    """Integers or booleans as varints, one after the other."""
    if array.dtype.kind == "b":
        return np.ascontiguousarray(array).view(np.uint8).tobytes()
    if array.size <= _SMALL:
        return b"".join([varint(value) for value in array.tolist()])
    values = array.astype(np.int64).view(np.uint64) if array.dtype.kind == "i" else array.astype(np.uint64)
    lengths = np.ones(values.shape, np.int64)
    for index in range(1, 10):
        lengths += values >= np.uint64(1) << np.uint64(7 * index)
    longest = int(lengths.max())
    columns = np.arange(longest)
    octets = ((values[:, None] >> (np.uint64(7) * columns.astype(np.uint64))) & np.uint64(0x7F)).astype(np.uint8)
    octets |= ((columns < lengths[:, None] - 1) * 0x80).astype(np.uint8)
    return octets[columns < lengths[:, None]].tobytes()


def number_of(parts: list[Array], strings: list[bytes]) -> int:
    """How many elements there are."""
    return len(strings) + sum(part.size for part in parts)


_DTYPES: Final[dict[str, np.dtype[Any]]] = {
    "BOOL": np.dtype(np.bool_), "INT8": np.dtype(np.int8), "INT16": np.dtype(np.int16), "INT32": np.dtype(np.int32),
    "INT64": np.dtype(np.int64), "UINT8": np.dtype(np.uint8), "UINT16": np.dtype(np.uint16),
    "UINT32": np.dtype(np.uint32), "UINT64": np.dtype(np.uint64), "FP32": np.dtype(np.float32),
    "FP64": np.dtype(np.float64),
}  # fmt: skip


def _converted(values: Array, datatype: str, where: str) -> Array:
    dtype = _DTYPES[datatype]
    if dtype.kind == "f" or datatype == "UINT64":
        return values if values.flags.aligned else values.copy()
    if datatype == "BOOL":
        return np.not_equal(values, 0)
    if dtype.kind == "i":
        values = values.view(np.int64)
        if datatype != "INT64":
            values = values.astype(np.int32)  # protobuf's int32 keeps the lower half
    else:
        values = values.astype(np.uint32)
    if dtype.itemsize < 4:
        limits = np.iinfo(dtype.name)
        low, high = int(values.min()), int(values.max())
        if low < limits.min or high > limits.max:
            outlier = low if low < limits.min else high
            raise InvalidInput(f"{where}: {outlier} does not fit into {datatype} ({limits.min} to {limits.max}).")
    return values if values.dtype == dtype else values.astype(dtype)


def _floats(data: bytes, number: int, kind: int, first: int, stop: int) -> Array:
    dtype = _FLOATS[number]
    if kind != LENGTH:
        return np.array([first], dtype.str.replace("f", "u")).view(dtype)
    count, rest = divmod(stop - first, dtype.itemsize)
    if rest:
        raise MalformedMessage(f"{NAME_OF[number]} has {stop - first} bytes, no multiple of {dtype.itemsize}.")
    return np.frombuffer(data, dtype, count, first) if count else np.empty(0, dtype)


def _few_varints(data: bytes, start: int, end: int) -> Array:
    values = []
    position = start
    while position < end:
        value = shift = 0
        while True:
            if position >= end:
                raise MalformedMessage("The protobuf message ends inside a number.")
            byte = data[position]
            position += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
            if shift > 63:
                raise MalformedMessage("The protobuf message holds a number longer than 64 bits.")
        values.append(value & 0xFFFFFFFFFFFFFFFF)
    return np.array(values, np.uint64)
