"""Inputs of the libraries that take one matrix: a tensor as it is, or several tensors as columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from haizen_runtime.backends.texts import texts_of
from haizen_runtime.protocol.errors import InvalidInput

Array = np.ndarray[Any, Any]

OUTPUT: Final = "output-0"
"""KServe's name for the one output of its Python servers."""


def as_matrix(inputs: Mapping[str, Array], columns: Sequence[str], features: int | None) -> Array:
    """The matrix that a request's inputs make.

    One input is the matrix itself. Several are columns: in the order of the training data's names when the model knows
    them, else in the order given. Raises InvalidInput when names or the number of columns do not fit.
    """
    if len(inputs) == 1:
        matrix = next(iter(inputs.values()))
    else:
        names = list(inputs)
        if columns:
            names = ordered(names, columns)
        matrix = np.concatenate([inputs[name].reshape(inputs[name].shape[0], -1) for name in names], axis=1)
    if features is not None and matrix.ndim == 2 and matrix.shape[1] != features:
        raise InvalidInput(f"The inputs give {matrix.shape[1]} columns; the model expects {features}.")
    return matrix


def ordered(names: Sequence[str], columns: Sequence[str]) -> list[str]:
    """The names in the order of the model's columns. Raises InvalidInput for a column that is missing or unknown."""
    missing = [name for name in columns if name not in names]
    unknown = [name for name in names if name not in columns]
    if missing or unknown:
        wrong = f"{missing[0]} is missing" if missing else f"{unknown[0][:80]} is unknown"
        raise InvalidInput(f"The model takes the columns {', '.join(columns[:50])}: {wrong}.")
    return list(columns)


def mixed_rows(matrix: Array) -> Array:
    """Rows whose columns may be numbers beside texts: bytes as `str`, numbers as they are."""
    if matrix.dtype.kind != "O":
        return matrix
    is_text = np.array([isinstance(value, bytes) for value in matrix.ravel()], dtype=bool)
    return np.where(is_text.reshape(matrix.shape), texts_of(matrix), matrix)


def first_line(error: Exception) -> str:
    """What a library's error says, short enough for an answer."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
