"""The datatypes of the Open Inference Protocol and their numpy types, and JSON values into arrays."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from haizen_runtime.protocol.errors import InvalidInput

Array = np.ndarray[Any, Any]

NUMPY_OF: Final[dict[str, np.dtype[Any]]] = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype(np.uint8),
    "UINT16": np.dtype(np.uint16),
    "UINT32": np.dtype(np.uint32),
    "UINT64": np.dtype(np.uint64),
    "INT8": np.dtype(np.int8),
    "INT16": np.dtype(np.int16),
    "INT32": np.dtype(np.int32),
    "INT64": np.dtype(np.int64),
    "FP16": np.dtype(np.float16),
    "FP32": np.dtype(np.float32),
    "FP64": np.dtype(np.float64),
    "BYTES": np.dtype(np.object_),
}
DATATYPE_OF: Final[dict[np.dtype[Any], str]] = {dtype: name for name, dtype in NUMPY_OF.items()}
NUMPY_OF["BF16"] = np.dtype(np.float32)  # numpy has no such type; every value of it is a float32 (tensor_bytes.py)
DATATYPE_NAMES: Final = ", ".join(NUMPY_OF)

_EXACT_FLOAT_INTEGERS: Final = 2.0**53
"""Above this a JSON number written as a float no longer tells which integer was meant."""
_FEW: Final = 64
"""Of so few numbers Python itself finds the largest sooner than numpy does."""
_LARGEST_FLOAT32: Final = float(np.finfo(np.float32).max)
_PLAIN: Final = {"FP32": {float}, "FP64": {float}, "INT32": {int}, "INT64": {int}}
"""Datatypes whose numbers are mostly written as what they are."""


def datatype_of(array: Array) -> str:
    """The protocol's name for an array's dtype; strings and other objects are BYTES."""
    return DATATYPE_OF.get(array.dtype, "BYTES")


def few_from_json(data: Any, datatype: Any) -> Array | None:
    """A few flat numbers of the datatype's own kind as an array [elements]: what most requests to small models hold.

    None for whatever needs the closer look of `array_from_json`, which gives the same array or says what is wrong.
    """
    if type(data) is not list or len(data) > _FEW or type(datatype) is not str:
        return None
    if set(map(type, data)) != _PLAIN.get(datatype):
        return None
    if datatype == "FP32" and max(map(abs, data)) > _LARGEST_FLOAT32:
        return None
    try:
        return np.array(data, NUMPY_OF[datatype])
    except OverflowError:
        return None


def array_from_json(data: list[Any] | Array, datatype: str, where: str) -> Array:
    """Turn JSON values, nested or flat, or an array of such numbers, into an array of the datatype.

    Rules: an integer datatype takes 3.0 and refuses 3.5 and values out of range; BOOL takes true, false, 0 and 1;
    a floating datatype takes null as NaN (JSON has no NaN, and orjson and JavaScript write null for it);
    BYTES takes strings (UTF-8). Raises InvalidInput naming `where`.
    """
    if datatype == "BYTES":
        return _bytes_array(data, where)
    dtype = NUMPY_OF[datatype]
    try:
        array = np.asarray(data)
    except (ValueError, OverflowError) as error:
        raise InvalidInput(f"{where}: the nested lists of data are not of equal length.") from error
    if array.dtype == dtype:
        return array
    if array.size == 0:
        return array.astype(dtype)
    kind, target = array.dtype.kind, dtype.kind
    if target == "f":
        return _floats(array, dtype, datatype, data, where)
    if target == "b":
        if kind in "iu" and bool(((array == 0) | (array == 1)).all()):
            return array.astype(dtype)
        raise InvalidInput(f"{where}: BOOL data must be true or false (or 0 or 1), found {_example(array)}.")
    return _integers(array, dtype, datatype, data, where)


def _floats(array: Array, dtype: np.dtype[Any], datatype: str, data: list[Any] | Array, where: str) -> Array:
    kind = array.dtype.kind
    if kind == "O":
        if not all(value is None or type(value) in (int, float) for value in array.ravel()):
            raise InvalidInput(f"{where}: {datatype} data must be numbers (null for NaN), found {_example(array)}.")
        array = np.array(data, dtype=np.float64)
    elif kind not in "fiu":
        raise InvalidInput(f"{where}: {datatype} data must be numbers, found {_example(array)}.")
    with np.errstate(over="ignore"):
        converted = array.astype(dtype)
    if dtype.itemsize < 8 and array.dtype.kind == "f" and not bool(np.isfinite(converted).all()):
        overflowed = np.isinf(converted) & np.isfinite(array)
        if bool(overflowed.any()):
            raise InvalidInput(f"{where}: {array[overflowed].flat[0]!r} does not fit into {datatype}.")
    return converted


def _integers(array: Array, dtype: np.dtype[Any], datatype: str, data: list[Any] | Array, where: str) -> Array:
    kind = array.dtype.kind
    limits = np.iinfo(dtype)
    if kind == "f":
        # numpy reads a mix of small and huge integers as floats; the Python integers are still exact.
        exact = np.array(data, dtype=object)
        if all(type(value) is int for value in exact.ravel()):
            array, kind = exact, "O"
        elif not bool(((array == np.floor(array)) & (np.abs(array) <= _EXACT_FLOAT_INTEGERS)).all()):
            raise InvalidInput(f"{where}: {datatype} data must be integers, found {_not_integral(array)}.")
    if kind == "O" and not all(type(value) is int for value in array.ravel()):
        raise InvalidInput(f"{where}: {datatype} data must be integers, found {_example(array)}.")
    if kind not in "fiuO":
        raise InvalidInput(f"{where}: {datatype} data must be integers, found {_example(array)}.")
    low, high = array.min(), array.max()
    if low < limits.min or high > limits.max:
        outlier = low if low < limits.min else high
        raise InvalidInput(f"{where}: {int(outlier)} does not fit into {datatype} ({limits.min} to {limits.max}).")
    return array.astype(dtype)


def _bytes_array(data: list[Any] | Array, where: str) -> Array:
    try:
        array = np.array(data, dtype=object)
    except ValueError as error:
        raise InvalidInput(f"{where}: the nested lists of data are not of equal length.") from error
    flat = array.ravel()
    for index, value in enumerate(flat):
        if type(value) is bytes:  # a binary value that a door has decoded: JSON itself has none
            continue
        if type(value) is not str:
            raise InvalidInput(f"{where}: BYTES data must be strings, found {_shown(value)}.")
        flat[index] = value.encode()
    return flat.reshape(array.shape)


def _example(array: Array) -> str:
    """A value that shows what is wrong: the first that is not a number, else the first."""
    flat = array.ravel()
    odd = next((value for value in flat if not isinstance(value, (int, float, np.number))), flat[0])
    return _shown(odd)


def _not_integral(array: Array) -> str:
    flat = array.ravel()
    odd = flat[~((flat == np.floor(flat)) & (np.abs(flat) <= _EXACT_FLOAT_INTEGERS))]
    return _shown(odd[0])


def _shown(value: Any) -> str:
    if isinstance(value, np.generic):
        value = value.item()
    names = {dict: "an object", list: "a list of another length", bool: "a boolean", type(None): "null"}
    if type(value) in names:
        return names[type(value)]
    if isinstance(value, str):
        return f'the string "{value[:40]}"'
    return f"{value!r}"[:60]
