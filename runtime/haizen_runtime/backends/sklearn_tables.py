"""scikit-learn models that pick columns by their names, with a ColumnTransformer mostly: they take tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from haizen_runtime.backends.columns import ordered
from haizen_runtime.backends.frames import column_of, frame_of
from haizen_runtime.backends.texts import texts_of
from haizen_runtime.protocol.errors import InvalidInput
from haizen_runtime.protocol.messages import TensorMetadata

if TYPE_CHECKING:
    from haizen_runtime.engine.backend import Arrays

Array = np.ndarray[Any, Any]


class TableInputs:
    """The columns of the table that an estimator was fitted on, out of a request's inputs."""

    def __init__(self, estimator: Any, columns: Sequence[str]) -> None:
        self._columns = columns
        texts = set(_text_columns(estimator, columns))
        self.metadata = tuple(TensorMetadata(name, "BYTES" if name in texts else "FP64", (-1,)) for name in columns)
        """One input a column. The datatypes tell texts from numbers; any kind of number will do."""

    def table(self, inputs: Arrays) -> Any:
        """A DataFrame from columns by name in any order, or from one matrix [n, columns] in the training data's.

        Raises InvalidInput when columns are missing, unknown, or no columns.
        """
        columns = self._columns
        if len(inputs) == 1 and len(columns) > 1:
            (matrix,) = inputs.values()
            if matrix.ndim != 2 or matrix.shape[1] != len(columns):
                raise InvalidInput(
                    f"The input has shape {list(matrix.shape)}; the model takes the {len(columns)} columns "
                    f"{', '.join(columns[:50])}, each by its name or together as [n, {len(columns)}]."
                )
            inputs = {name: matrix[:, index] for index, name in enumerate(columns)}
        return frame_of({name: _values(name, inputs[name]) for name in ordered(list(inputs), columns)})


def _values(name: str, array: Array) -> Array:
    column = column_of(name, array)
    return texts_of(column) if column.dtype.kind == "O" else column


def _text_columns(estimator: Any, columns: Sequence[str]) -> Iterator[str]:
    """The columns that steps know as texts: by the categories or the words that they have seen."""
    for _, step in getattr(estimator, "steps", ()):
        yield from _text_columns(step, columns)
    for _, step, picked in getattr(estimator, "transformers_", ()):
        names = [columns[each] if isinstance(each, int) else str(each) for each in np.atleast_1d(picked).tolist()]
        inner = [last for _, last in getattr(step, "steps", [("", step)])]
        if any(hasattr(each, "vocabulary_") for each in inner):
            yield from names
        for each in inner:
            for name, seen in zip(names, getattr(each, "categories_", ()), strict=False):
                if seen.dtype.kind in "OU":
                    yield name
