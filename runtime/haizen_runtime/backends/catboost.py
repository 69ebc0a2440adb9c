"""CatBoost models: .cbm."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import catboost
import numpy as np

from haizen_runtime.backends.columns import OUTPUT, as_matrix, first_line, mixed_rows
from haizen_runtime.backends.texts import bytes_of
from haizen_runtime.engine.backend import Backend
from haizen_runtime.engine.cpus import usable_cpus
from haizen_runtime.protocol.dtypes import datatype_of
from haizen_runtime.protocol.errors import InvalidInput, ModelLoadFailed
from haizen_runtime.protocol.messages import ModelMetadata, TensorMetadata

if TYPE_CHECKING:
    from haizen_runtime.backends.loading import LoadOptions
    from haizen_runtime.engine.backend import Arrays

Array = np.ndarray[Any, Any]

HEADER_BYTES = 8
"""CBM1 and the length of what follows, as a little-endian UINT32."""


class CatBoostBackend(Backend):
    """A trained model: classes (or probabilities with PREDICT_PROBA) of a classifier, values of any other."""

    def __init__(self, model: Any, options: LoadOptions) -> None:
        is_classifier = isinstance(model, catboost.CatBoostClassifier)
        self._call = model.predict_proba if is_classifier and options.predict_proba else model.predict
        self._threads = options.threads or usable_cpus()
        names = [str(name) for name in model.feature_names_]
        self._features = len(names)
        self._columns = [] if names == [str(index) for index in range(len(names))] else names
        self._texts = sorted({*model.get_cat_feature_indices(), *model.get_text_feature_indices()})
        self.takes_anything = bool(self._texts)  # categories are numbers to one client and strings to another
        self._sample = None if self._texts else {"input-0": np.zeros((1, self._features))}
        inputs: tuple[TensorMetadata, ...] = (TensorMetadata("input-0", "FP64", (-1, self._features)),)
        if self._texts:
            inputs = tuple(
                TensorMetadata(name, "BYTES" if index in self._texts else "FP64", (-1,))
                for index, name in enumerate(names)
            )
        self.metadata = ModelMetadata(
            platform="catboost",
            inputs=inputs,
            outputs=(self._output_metadata(model, is_classifier, options.predict_proba),),
            any_input_name=True,
            any_datatype=True,
        )

    def execute(self, inputs: Arrays, outputs: Sequence[str] | None) -> dict[str, Array]:
        """Predict; NaN is CatBoost's missing value, in all but categories."""
        matrix = as_matrix(inputs, self._columns, self._features)
        if matrix.ndim != 2:
            raise InvalidInput(f"The input has {matrix.ndim} dimensions; expected rows of {self._features} columns.")
        if self._texts:
            matrix = mixed_rows(matrix).astype(object)
            for column in self._texts:
                matrix[:, column] = [_category(value) for value in matrix[:, column]]
        elif matrix.dtype not in (np.float32, np.float64):
            matrix = matrix.astype(np.float64)
        try:
            result = np.asarray(self._call(matrix, thread_count=self._threads))
        except (catboost.CatBoostError, ValueError, TypeError) as error:
            raise InvalidInput(f"The model refused the input: {first_line(error)}") from error
        return {OUTPUT: result if result.dtype.kind in "iufb" else bytes_of(result)}

    def sample(self, rows: int) -> Arrays | None:
        """Zeros; None for a model with categories, of which none is known."""
        if self._sample is None:
            return None
        return {name: np.repeat(array, rows, axis=0) for name, array in self._sample.items()}

    def _output_metadata(self, model: Any, is_classifier: bool, proba: bool) -> TensorMetadata:
        if self._sample is not None:
            result = self.execute(self._sample, None)[OUTPUT]
            return TensorMetadata(OUTPUT, datatype_of(result), (-1, *result.shape[1:]))
        if is_classifier and proba:
            return TensorMetadata(OUTPUT, "FP64", (-1, len(model.classes_)))
        if not is_classifier:
            return TensorMetadata(OUTPUT, "FP64", (-1,))
        labels = np.asarray(model.classes_)
        datatype = datatype_of(labels) if labels.dtype.kind in "iufb" else "BYTES"
        return TensorMetadata(OUTPUT, datatype, (-1,) if len(labels) == 2 else (-1, 1))


def load(path: Path, options: LoadOptions) -> CatBoostBackend:
    """Load a model. Its header is looked at first: CatBoost aborts the process on a length that is not true."""
    with path.open("rb") as file:
        header = file.read(HEADER_BYTES)
    length = int.from_bytes(header[4:], "little")
    if header[:4] != b"CBM1" or len(header) < HEADER_BYTES or path.stat().st_size < HEADER_BYTES + length:
        raise ModelLoadFailed(f"{path.name} is not a complete CatBoost model.")
    model = catboost.CatBoostClassifier()
    model.load_model(str(path))
    if not len(model.classes_):
        model = catboost.CatBoostRegressor()
        model.load_model(str(path))
    return CatBoostBackend(model, options)


def _category(value: Any) -> Any:
    """CatBoost takes categories as integers and strings: a number that came as 3.0 was the integer 3."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
