"""Inputs of the libraries that take a table with named columns: tensors as the columns of a pandas DataFrame."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from haizen_runtime.protocol.errors import InvalidInput

Array = np.ndarray[Any, Any]


def column_of(name: str, array: Array) -> Array:
    """A column [n] from an input [n] or [n, 1]. Raises InvalidInput for any other shape."""
    if not array.ndim or array.size != array.shape[0]:
        raise InvalidInput(f'Input "{name[:80]}" has shape {list(array.shape)}; expected a column, [n] or [n, 1].')
    return array.ravel()


def frame_of(columns: Mapping[str, Any]) -> pd.DataFrame:
    """The table that columns make. Raises InvalidInput unless they have the same length."""
    if len({len(values) for values in columns.values()}) > 1:
        raise InvalidInput("The inputs are columns of one table: all need the same length.")
    return pd.DataFrame(dict(columns))
