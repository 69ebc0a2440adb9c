"""BentoML services that take and give v2 JSON; BENCH_MODEL_FILE names the file. Served by `bentoml serve`."""

import os
from typing import Any

import bentoml
import joblib
import numpy as np

ROUTE = "/v2/models/{}/infer"


def rows_of(tensor: dict[str, Any]) -> Any:
    """An input as an array."""
    return np.asarray(tensor["data"], dtype=np.float32).reshape(tensor["shape"])


def tensor_of(array: Any, datatype: str) -> dict[str, Any]:
    """An output as v2 JSON has it."""
    return {"name": "output-0", "shape": list(array.shape), "datatype": datatype, "data": array.ravel().tolist()}


@bentoml.service(workers=1)
class Iris:
    """One request a call."""

    def __init__(self) -> None:
        self.model = joblib.load(os.environ["BENCH_MODEL_FILE"])

    @bentoml.api(route=ROUTE.format("iris"))
    def infer(self, inputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [tensor_of(self.model.predict(rows_of(inputs[0])), "INT64")]


@bentoml.service(workers=1)
class IrisBatched:
    """What arrives together is one call: an item of the list is the tensor of one request."""

    def __init__(self) -> None:
        self.model = joblib.load(os.environ["BENCH_MODEL_FILE"])

    @bentoml.api(route=ROUTE.format("iris"), batchable=True, max_batch_size=32)
    def infer(self, inputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        classes = self.model.predict(np.concatenate([rows_of(tensor) for tensor in inputs]))
        return [tensor_of(classes[row : row + 1], "INT64") for row in range(len(inputs))]


@bentoml.service(workers=1)
class Image:
    """Answers its input."""

    @bentoml.api(route=ROUTE.format("image"))
    def infer(self, inputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [tensor_of(rows_of(inputs[0]), "FP32")]
