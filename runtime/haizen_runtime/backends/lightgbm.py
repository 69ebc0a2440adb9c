"""LightGBM models: text files named .bst (KServe's name) or .txt."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightgbm
import numpy as np

from haizen_runtime.backends.columns import OUTPUT, as_matrix
from haizen_runtime.engine.backend import Backend
from haizen_runtime.engine.cpus import usable_cpus
from haizen_runtime.protocol.errors import InvalidInput, ModelLoadFailed
from haizen_runtime.protocol.messages import ModelMetadata, TensorMetadata

if TYPE_CHECKING:
    from haizen_runtime.backends.loading import LoadOptions
    from haizen_runtime.engine.backend import Arrays

Array = np.ndarray[Any, Any]


class LightGBMBackend(Backend):
    """A Booster; answers what `Booster.predict` answers, as FP64."""

    def __init__(self, booster: Any, threads: int) -> None:
        self._booster = booster
        self._threads = threads
        self._features = int(booster.num_feature())
        names = list(booster.feature_name())
        self._columns = [] if names == [f"Column_{index}" for index in range(len(names))] else names
        self._sample = {"input-0": np.zeros((1, self._features))}
        shape = self.execute(self._sample, None)[OUTPUT].shape
        self.metadata = ModelMetadata(
            platform="lightgbm",
            inputs=(TensorMetadata("input-0", "FP64", (-1, self._features)),),
            outputs=(TensorMetadata(OUTPUT, "FP64", (-1, *shape[1:])),),
            any_input_name=True,
            any_datatype=True,
        )

    def execute(self, inputs: Arrays, outputs: Sequence[str] | None) -> dict[str, Array]:
        """Predict; NaN is LightGBM's missing value."""
        matrix = as_matrix(inputs, self._columns, self._features)
        if matrix.dtype not in (np.float32, np.float64):
            matrix = matrix.astype(np.float64)
        try:
            result = self._booster.predict(matrix, num_threads=self._threads)
        except (lightgbm.basic.LightGBMError, ValueError) as error:
            raise InvalidInput(f"The model refused the input: {str(error).strip().splitlines()[0][:300]}") from error
        return {OUTPUT: np.asarray(result)}

    def sample(self, rows: int) -> Arrays | None:
        """Zeros."""
        return {name: np.repeat(array, rows, axis=0) for name, array in self._sample.items()}


def load(path: Path, options: LoadOptions) -> LightGBMBackend:
    """Load a booster. The text is looked at first: LightGBM itself can crash on a file that is not a model."""
    with path.open("rb") as file:
        head = file.read(64)
        file.seek(0)
        complete = b"\nend of trees" in file.read()
    if not head.startswith(b"tree") or not complete:
        raise ModelLoadFailed(f"{path.name} is not a complete LightGBM text model.")
    booster = lightgbm.Booster(model_file=str(path))
    return LightGBMBackend(booster, options.threads or usable_cpus())
