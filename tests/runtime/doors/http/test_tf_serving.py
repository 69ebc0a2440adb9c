"""TensorFlow Serving's REST paths, with its forms of requests and answers, beside KServe's v1 on the same paths."""

from __future__ import annotations

import base64
from typing import Any

import httpx
import pytest

ROWS = [[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]]
STATUS = {"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}


def b64(data: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(data).decode()}


THREE_ROWS = [{"a": [1.5, 2], "b": [b64(b"x"), "y"], "c": [0.1]}, {"a": [3, 4], "b": ["ö", ""], "c": [1e300]}]
THREE_ANSWER = [{"a2": [1.5, 2], "b2": ["x", "y"], "c2": [0.1]}, {"a2": [3, 4], "b2": ["ö", ""], "c2": [1e300]}]
THREE_COLUMNS = {name: [row[name] for row in THREE_ROWS] for name in "abc"}
THREE_OUTPUTS = {name: [row[name] for row in THREE_ANSWER] for name in ("a2", "b2", "c2")}


@pytest.mark.parametrize(
    ("path", "body", "answer"),
    [
        pytest.param("iris:predict", {"instances": ROWS}, {"predictions": [0, 2]}, id="rows"),
        pytest.param("iris/versions/1:predict", {"instances": ROWS}, {"predictions": [0, 2]}, id="rows-of-a-version"),
        pytest.param("iris:predict", {"instances": [{"x": row} for row in ROWS]}, {"predictions": [0, 2]}, id="named"),
        pytest.param("iris:predict", {"signature_name": "serving_default", "instances": ROWS}, {"predictions": [0, 2]},
                     id="signature"),
        pytest.param("iris:predict", {"instances": ROWS, "parameters": {"deep": [1]}}, {"predictions": [0, 2]},
                     id="parameters"),
        pytest.param("iris:predict", {"inputs": ROWS}, {"predictions": [0, 2]}, id="kserves-inputs"),
        pytest.param("iris:predict", {"inputs": {"x": ROWS}}, {"outputs": [0, 2]}, id="named-column"),
        pytest.param("iris/versions/1:predict", {"inputs": ROWS}, {"outputs": [0, 2]}, id="column-of-a-version"),
        pytest.param("iris:predict", {"signature_name": "", "inputs": ROWS}, {"outputs": [0, 2]}, id="by-signature"),
        pytest.param("three:predict", {"instances": THREE_ROWS}, {"predictions": THREE_ANSWER}, id="several-rows"),
        pytest.param("three:predict", {"inputs": THREE_COLUMNS}, {"outputs": THREE_OUTPUTS}, id="several-columns"),
        pytest.param("bytes:predict", {"instances": [[b64("ö".encode())]]}, {"predictions": [["ö"]]}, id="b64"),
    ],
)  # fmt: skip
def test_predict(models: Any, path: str, body: Any, answer: Any) -> None:
    response = httpx.post(f"{models.url}/v1/models/{path}", json=body)
    assert (response.status_code, response.json()) == (200, answer)


@pytest.mark.parametrize(
    ("path", "body", "status", "says"),
    [
        pytest.param("iris:predict", {"signature_name": "z", "instances": ROWS}, 400, '"z" not found', id="signature"),
        pytest.param("iris/versions/7:predict", {"instances": ROWS}, 404, "no version 7", id="version"),
        pytest.param("iris:predict", {"inputs": {}}, 400, "at least one tensor", id="no-columns"),
        pytest.param("iris:predict", {"inputs": {"x": 1}}, 400, "expected a list", id="column-no-list"),
        pytest.param("iris/versions/1:predict", {}, 400, '"instances" or "inputs"', id="nothing"),
        pytest.param("three:predict", {"inputs": {"a": [[1]]}}, 400, '"b" is missing', id="column-missing"),
        pytest.param("bytes:predict", {"instances": [[{"b64": "?"}]]}, 400, "not valid base64", id="base64"),
        pytest.param("fp32:predict", {"instances": [[b64(b"x")]]}, 400, "must be numbers", id="bytes-as-numbers"),
    ],
)  # fmt: skip
def test_bad_requests(models: Any, path: str, body: Any, status: int, says: str) -> None:
    response = httpx.post(f"{models.url}/v1/models/{path}", json=body)
    assert response.status_code == status
    assert says in response.json()["error"]


@pytest.mark.parametrize(
    ("path", "status", "expected"),
    [
        pytest.param("iris", 200, {"name": "iris", "ready": True, "model_version_status": [STATUS]}, id="model"),
        pytest.param(
            "iris/versions/1", 200, {"name": "iris", "ready": True, "model_version_status": [STATUS]}, id="version"
        ),
        pytest.param(
            "iris/versions/2", 404, {"error": "Model iris has no version 2; the versions it has: 1."}, id="unknown"
        ),
        pytest.param("iris/labels/x", 404, {"error": "No such path: /v1/models/iris/labels/x"}, id="label"),
        pytest.param("iris/versions/1/2", 404, {"error": "No such path: /v1/models/iris/versions/1/2"}, id="longer"),
        pytest.param("/metadata", 404, {"error": "No such path: /v1/models//metadata"}, id="no-name"),
    ],
)
def test_status(models: Any, path: str, status: int, expected: Any) -> None:
    response = httpx.get(f"{models.url}/v1/models/{path}")
    assert (response.status_code, response.json()) == (status, expected)


@pytest.mark.parametrize("path", ["three/metadata", "three/versions/1/metadata"])
def test_metadata(models: Any, path: str) -> None:
    answer = httpx.get(f"{models.url}/v1/models/{path}").json()
    assert answer["model_spec"] == {"name": "three", "signature_name": "", "version": "1"}
    signature = answer["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert signature["method_name"] == "tensorflow/serving/predict"
    shape = {"dim": [{"size": "-1", "name": ""}, {"size": "-1", "name": ""}], "unknown_rank": False}
    kinds = {"a": "DT_FLOAT", "b": "DT_STRING", "c": "DT_DOUBLE"}
    for suffix, place in (("", "inputs"), ("2", "outputs")):
        assert signature[place] == {
            f"{name}{suffix}": {"dtype": kind, "tensor_shape": shape, "name": f"{name}{suffix}:0"}
            for name, kind in kinds.items()
        }
