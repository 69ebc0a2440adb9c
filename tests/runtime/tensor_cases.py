"""The tensors that every door has to carry: each datatype in several shapes, with the values that go wrong first."""

from __future__ import annotations

from typing import Any

import numpy as np

from haizen_runtime.protocol.dtypes import NUMPY_OF

SHAPES: list[tuple[int, ...]] = [(1, 1), (1, 4), (3, 2), (2, 500), (1, 0)]
"""Rows and columns: one value, one row, several, more than what is written as a list, and none."""
DATATYPES = [name for name in NUMPY_OF if name != "BF16"]
"""All that a model can have here; BF16 is a float32 to it."""


def values_of(datatype: str, shape: tuple[int, ...]) -> Any:
    """Values that show whether each came through: the extremes, and some between."""
    count = int(np.prod(shape))
    if datatype == "BYTES":
        array = np.empty(count, object)
        array[:] = [b"" if index % 7 == 3 else f"wort {index} ö\0".encode() for index in range(count)]
    elif datatype == "BOOL":
        array = np.arange(count) % 3 == 0
    elif datatype.startswith("FP"):
        dtype = NUMPY_OF[datatype]
        array = np.resize(np.array([0.1, -2.5, 0.0, np.finfo(dtype.name).max, np.finfo(dtype.name).tiny], dtype), count)
    else:
        limits = np.iinfo(NUMPY_OF[datatype].name)
        array = np.resize(np.array([limits.min, limits.max, 1, 100], NUMPY_OF[datatype]), count)
    return array.reshape(shape)


def json_values(array: Any) -> list[Any]:
    """The values as JSON has them, flat."""
    return [value.decode() if isinstance(value, bytes) else value for value in array.ravel().tolist()]
