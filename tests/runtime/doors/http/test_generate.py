"""The generate extension on a model with one answer: fields by the names of inputs, one answer or one event."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

ROW = [5.1, 3.5, 1.4, 0.2]


@pytest.mark.parametrize("path", ["/v2/models/iris", "/v2/models/iris/versions/1"])
def test_one_answer(iris_runtime: Any, path: str) -> None:
    answer = httpx.post(f"{iris_runtime.url}{path}/generate", json={"input-0": ROW, "id": "7", "seed": 1})
    assert answer.json() == {"model_name": "iris", "model_version": "1", "id": "7", "output-0": 0}
    many = httpx.post(f"{iris_runtime.url}{path}/generate", json={"input-0": [ROW, ROW]})
    assert many.json()["output-0"] == [0, 0]
    streamed = httpx.post(f"{iris_runtime.url}{path}/generate_stream", json={"input-0": ROW})
    assert streamed.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert json.loads(streamed.text.removeprefix("data: ")) == {
        "model_name": "iris", "model_version": "1", "output-0": 0,
    }  # fmt: skip


@pytest.mark.parametrize("verb", ["generate", "generate_stream"])
@pytest.mark.parametrize(
    ("path", "options", "status", "says"),
    [
        pytest.param("iris", {"json": {"text_input": "x"}}, 400, "each input of the model: input-0", id="name"),
        pytest.param("iris", {"json": {"input-0": [1, 2]}}, 400, "has shape [1, 2]; the model expects", id="shape"),
        pytest.param("iris", {"json": {"input-0": ["a"]}}, 400, "BYTES", id="datatype"),
        pytest.param("iris", {"content": b"{"}, 400, "not valid JSON", id="json"),
        pytest.param("iris", {"content": b"{}", "headers": {"content-type": "image/png"}}, 415, "image/png", id="type"),
        pytest.param("rose", {"json": {"input-0": ROW}}, 404, "rose", id="model"),
        pytest.param("iris/versions/7", {"json": {"input-0": ROW}}, 404, "no version 7", id="version"),
    ],
)
def test_what_is_wrong_is_told(
    iris_runtime: Any, verb: str, path: str, options: dict[str, Any], status: int, says: str
) -> None:
    answer = httpx.post(f"{iris_runtime.url}/v2/models/{path}/{verb}", **options)
    assert (answer.status_code, says in answer.json()["error"]) == (status, True), answer.text
