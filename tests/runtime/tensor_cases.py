"""The tensors that every door has to carry: each datatype in several shapes, with the values that go wrong first."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

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


BAD_TENSORS: list[Any] = [
    pytest.param("FP31", [1], bytes(4), "datatype FP31", id="unknown-datatype"),
    pytest.param("FP32", [1, -1], bytes(4), "0 or more", id="negative-size"),
    pytest.param("FP32", [1] * 40, bytes(4), "at most 32", id="rank"),
    pytest.param("FP32", [2**40, 2**40], bytes(4), "more elements", id="huge-shape"),
    pytest.param("FP32", [0, 2**40, 2**40], b"", "more elements", id="huge-and-empty"),
    pytest.param("BYTES", [2**62, 0], b"", "more elements", id="huge-and-empty-strings"),
    pytest.param("FP32", [1, 2], bytes(4), "has 8 bytes, found 4", id="too-few"),
    pytest.param("FP32", [1, 1], bytes(8), "has 4 bytes, found 8", id="too-many"),
    pytest.param("FP16", [1, 1], bytes(1), "has 2 bytes, found 1", id="half-an-element"),
    pytest.param("BF16", [1, 2], bytes(2), "has 4 bytes, found 2", id="bf16-too-few"),
    pytest.param("BYTES", [1, 1], b"", "do not fit into 0 bytes", id="no-string"),
    pytest.param("BYTES", [1, 1], b"\2\0\0\0a", "element 0 has 2 bytes, 1 are left", id="string-cut"),
    pytest.param("BYTES", [1, 1], b"\1\0\0\0ab", "1 bytes are left after 1", id="string-and-more"),
    pytest.param("BYTES", [1, 1], b"\xff\xff\xff\xff", "element 0 has 4294967295 bytes", id="string-huge"),
]
"""Tensors whose bytes are not what datatype and shape say: (datatype, shape, bytes, what the error says)."""
