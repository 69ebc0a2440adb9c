"""Custom prediction routines as they are written for Vertex AI, without Google's library, on a local directory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

WITH_LIBRARY = """
import joblib
import numpy as np
from google.cloud.aiplatform.prediction.predictor import Predictor
from google.cloud.aiplatform.utils import prediction_utils

class IrisPredictor(Predictor):
    def __init__(self):
        return

    def load(self, artifacts_uri: str) -> None:
        self._uri = artifacts_uri
        prediction_utils.download_model_artifacts(artifacts_uri)
        self._model = joblib.load("iris.joblib")

    def preprocess(self, prediction_input):
        self._parameters = prediction_input.get("parameters", {})
        return np.asarray(prediction_input["instances"])

    def predict(self, instances):
        return self._model.predict(instances)

    def postprocess(self, prediction_results):
        return {"predictions": prediction_results.tolist(), "seen": [self._uri, self._parameters]}
"""

DUCK = """
from fastapi import HTTPException

class Words:
    def load(self, artifacts_uri):
        with open(artifacts_uri + "/words.txt") as file:
            self.words = file.read().split()

    def preprocess(self, prediction_input):
        return prediction_input["instances"]

    def predict(self, instances):
        if instances == ["teapot"]:
            raise HTTPException(status_code=418, detail="short and stout")
        return [self.words[index] for index in instances]

    def postprocess(self, prediction_results):
        return {"predictions": prediction_results}
"""

ROWS = [[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]]


def test_a_predictor_runs_unchanged(
    tmp_path: Path, serve_code: Callable[..., Any], iris_model: Any, iris_data: Any
) -> None:
    import joblib

    joblib.dump(iris_model, tmp_path / "iris.joblib")
    runtime = serve_code(
        WITH_LIBRARY, AIP_HEALTH_ROUTE="/health", AIP_PREDICT_ROUTE="/predict", AIP_STORAGE_URI=str(tmp_path)
    )
    assert httpx.get(f"{runtime.url}/health").status_code == 200
    expected = iris_model.predict(ROWS).tolist()
    body = {"instances": ROWS, "parameters": {"any": ["thing"]}}
    answer = {"predictions": expected, "seen": [str(tmp_path), {"any": ["thing"]}]}
    for path in ("/predict", "/v1/models/code:predict", "/invocations"):
        assert httpx.post(runtime.url + path, json=body).json() == answer
    tensor = {"name": "x", "shape": [2, 4], "datatype": "FP64", "data": ROWS}
    v2 = httpx.post(f"{runtime.url}/v2/models/code/infer", json={"inputs": [tensor]}).json()
    assert [each["data"] for each in v2["outputs"]] == [expected]


@pytest.mark.parametrize(
    ("instances", "status", "answer"),
    [
        pytest.param([2, 0], 200, {"predictions": ["cherry", "apple"]}, id="right"),
        pytest.param(["teapot"], 418, {"error": "short and stout"}, id="http-exception"),
        pytest.param([7], 500, {"error": "The model failed: IndexError: list index out of range"}, id="wrong"),
    ],
)
def test_a_class_that_only_looks_like_one(words: str, instances: list[Any], status: int, answer: Any) -> None:
    got = httpx.post(f"{words}/predict", json={"instances": instances})
    assert (got.status_code, got.json()) == (status, answer)


@pytest.fixture
def words(tmp_path: Path, serve_code: Callable[..., Any]) -> str:
    (tmp_path / "words.txt").write_text("apple banana cherry")
    url: str = serve_code(DUCK, "--predict_route=/predict").url
    return url


def test_a_load_that_fails_says_where(start_code: Callable[..., Any]) -> None:
    runtime = start_code(DUCK)
    assert runtime.wait_exit() == 3
    assert "model.py, line 6: FileNotFoundError" in runtime.log
