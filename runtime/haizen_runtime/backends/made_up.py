"""Inputs made up from what a model says about itself, for warm-ups."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from haizen_runtime.protocol.dtypes import NUMPY_OF
from haizen_runtime.protocol.messages import TensorMetadata


def zeros(inputs: Sequence[TensorMetadata], rows: int) -> dict[str, np.ndarray[Any, Any]] | None:
    """Zeros (empty strings) with `rows` for an open first axis.

    None where another axis is open: it may need a certain size all the same (a CNN's image).
    """
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    for tensor in inputs:
        if -1 in tensor.shape[1:]:
            return None
        shape = tuple(rows if size == -1 else size for size in tensor.shape)
        empty: Any = b"" if tensor.datatype == "BYTES" else 0
        arrays[tensor.name] = np.full(shape, empty, dtype=NUMPY_OF[tensor.datatype])
    return arrays
