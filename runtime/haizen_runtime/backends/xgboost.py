"""XGBoost models: .bst, .ubj and .json."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xgboost

from haizen_runtime.backends.columns import OUTPUT, as_matrix
from haizen_runtime.engine.backend import Backend
from haizen_runtime.engine.cpus import usable_cpus
from haizen_runtime.protocol.errors import InvalidInput
from haizen_runtime.protocol.messages import ModelMetadata, TensorMetadata

if TYPE_CHECKING:
    from haizen_runtime.backends.loading import LoadOptions
    from haizen_runtime.engine.backend import Arrays

Array = np.ndarray[Any, Any]


class XGBoostBackend(Backend):
    """A Booster; answers what `Booster.predict` answers (probabilities for the usual objectives), as FP32."""

    def __init__(self, booster: Any) -> None:
        self._booster = booster
        self._features = int(booster.num_features())
        self._columns = list(booster.feature_names or ())
        input_name = "input-0"
        self._sample = {input_name: np.zeros((1, self._features), dtype=np.float32)}
        shape = self.execute(self._sample, None)[OUTPUT].shape
        self.metadata = ModelMetadata(
            platform="xgboost",
            inputs=(TensorMetadata(input_name, "FP32", (-1, self._features)),),
            outputs=(TensorMetadata(OUTPUT, "FP32", (-1, *shape[1:])),),
            any_input_name=True,
            any_datatype=True,
        )

    def execute(self, inputs: Arrays, outputs: Sequence[str] | None) -> dict[str, Array]:
        """Predict; NaN is XGBoost's missing value."""
        matrix = as_matrix(inputs, self._columns, self._features)
        if matrix.dtype != np.float32:
            matrix = matrix.astype(np.float32)  # what XGBoost computes in
        try:
            result = self._booster.predict(xgboost.DMatrix(matrix), validate_features=False)
        except ValueError as error:
            raise InvalidInput(f"The model refused the input: {str(error).strip().splitlines()[0][:300]}") from error
        return {OUTPUT: result}

    def sample(self, rows: int) -> Arrays | None:
        """Zeros."""
        return {name: np.repeat(array, rows, axis=0) for name, array in self._sample.items()}


def load(path: Path, options: LoadOptions) -> XGBoostBackend:
    """Load a booster; XGBoost tells the encodings apart by itself."""
    booster = xgboost.Booster(params={"nthread": options.threads or usable_cpus()})
    booster.load_model(str(path))
    return XGBoostBackend(booster)
