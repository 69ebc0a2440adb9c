"""CloudEvents in and out of v1 and v2, in both modes, as KServe's server takes and gives them."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx
import numpy as np
import pytest

from tests.runtime.conftest import RuntimeProcess

ROWS = [[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]]
V1, V2 = "/v1/models/iris:predict", "/v2/models/iris/infer"
V1_BODY: dict[str, Any] = {"instances": ROWS}
V2_BODY: dict[str, Any] = {"inputs": [{"name": "x", "shape": [2, 4], "datatype": "FP64", "data": ROWS}]}
ATTRIBUTES = {
    "specversion": "1.0", "id": "36077800-0c23-4f38-a0b4-01f4369f670a", "source": "https://example.com/event producer",
    "type": "com.example.sampletype1", "time": "2021-01-28T21:04:43.144141+00:00", "tenant": "größe",
}  # fmt: skip
BINARY = {
    "ce-specversion": "1.0", "ce-id": ATTRIBUTES["id"], "ce-source": "https://example.com/event%20producer",
    "ce-type": ATTRIBUTES["type"], "ce-time": ATTRIBUTES["time"], "ce-tenant": "gr%C3%B6%C3%9Fe",
    "content-type": "application/json",
}  # fmt: skip
STRUCTURED = {"content-type": "application/cloudevents+json"}
DOORS = [pytest.param(V1, V1_BODY, id="v1"), pytest.param(V2, V2_BODY, id="v2")]


def values(answer: Any) -> Any:
    return answer["predictions"] if "predictions" in answer else answer["outputs"][0]["data"]


def attributes_of(response: httpx.Response) -> dict[str, str]:
    return {name[3:]: unquote(value) for name, value in response.headers.items() if name.startswith("ce-")}


def check(attributes: dict[str, Any], **expected: str) -> None:
    assert attributes.pop("id") != ATTRIBUTES["id"]
    assert datetime.fromisoformat(attributes.pop("time")).tzinfo is not None
    assert attributes == {"specversion": "1.0", **expected}


@pytest.mark.parametrize(("path", "body"), DOORS)
def test_binary_mode(iris_runtime: Any, path: str, body: Any) -> None:
    response = httpx.post(iris_runtime.url + path, json=body, headers=BINARY)
    assert (response.status_code, response.headers["content-type"]) == (200, "application/json")
    assert values(response.json()) == [0, 2]
    check(attributes_of(response), type="io.kserve.inference.response", source="io.kserve.inference.iris")


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(lambda body: {"data": body}, id="data"),
        pytest.param(lambda body: {"data_base64": base64.b64encode(json.dumps(body).encode()).decode()}, id="base64"),
    ],
)
@pytest.mark.parametrize(("path", "body"), DOORS)
def test_structured_mode(iris_runtime: Any, path: str, body: Any, data: Any) -> None:
    headers = {"content-type": "application/cloudevents+json; charset=UTF-8"}
    event = json.dumps({**ATTRIBUTES, **data(body)})
    response = httpx.post(iris_runtime.url + path, content=event, headers=headers)
    assert (response.status_code, response.headers["content-type"]) == (200, "application/cloudevents+json")
    answer = response.json()
    assert values(answer.pop("data")) == [0, 2]
    assert answer.pop("datacontenttype") == "application/json"
    check(answer, type="io.kserve.inference.response", source="io.kserve.inference.iris")


def test_an_event_without_its_content_type_is_read_and_answered_plainly(iris_runtime: Any) -> None:
    response = httpx.post(iris_runtime.url + V1, json={**ATTRIBUTES, "data": V1_BODY})
    assert response.json() == {"predictions": [0, 2]}
    assert attributes_of(response) == {}


def test_binary_tensors_in_an_event(iris_runtime: Any) -> None:
    tail = np.array(ROWS).tobytes()
    tensor = {"name": "x", "shape": [2, 4], "datatype": "FP64", "parameters": {"binary_data_size": len(tail)}}
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    headers = {**BINARY, "content-type": "application/octet-stream", "inference-header-content-length": str(len(head))}
    response = httpx.post(iris_runtime.url + V2, content=head + tail, headers=headers)
    assert response.headers["ce-source"] == "io.kserve.inference.iris"
    assert response.content[int(response.headers["inference-header-content-length"]) :] == np.array([0, 2]).tobytes()


@pytest.mark.parametrize(
    ("headers", "event", "status", "says"),
    [
        pytest.param({**BINARY, "ce-specversion": "9"}, V1_BODY, 400, "specversion is 9; 1.0", id="binary-version"),
        pytest.param(BINARY, {"instances": 1}, 400, '"instances" to be a list', id="binary-body"),
        pytest.param({**BINARY, "content-type": "text/xml"}, V1_BODY, 415, "text/xml", id="binary-xml"),
        pytest.param({**BINARY, **{f"ce-x{index}": "1" for index in range(80)}}, V1_BODY, 400, "at most 64", id="many"),
        pytest.param(STRUCTURED, {**ATTRIBUTES, "specversion": "2"}, 400, "specversion is 2", id="version"),
        pytest.param(STRUCTURED, V1_BODY, 400, "no specversion and no id and no source and no type", id="attributes"),
        pytest.param(STRUCTURED, ATTRIBUTES, 400, "has no data", id="no-data"),
        pytest.param(STRUCTURED, {**ATTRIBUTES, "data": "text"}, 400, "must be a JSON object", id="text"),
        pytest.param(STRUCTURED, {**ATTRIBUTES, "data_base64": "?"}, 400, "not valid base64", id="base64"),
        pytest.param({}, {**ATTRIBUTES, "data": 5}, 400, "data must be an object", id="plain-data"),
        pytest.param({"content-type": "application/cloudevents-batch+json"}, [], 415, "batch", id="batch"),
    ],
)
def test_bad_events(iris_runtime: Any, headers: dict[str, str], event: Any, status: int, says: str) -> None:
    response = httpx.post(iris_runtime.url + V1, content=json.dumps(event), headers=headers)
    assert response.status_code == status
    assert says in response.json()["error"]
    assert attributes_of(response) == {}


def test_a_structured_event_cannot_hold_bytes(iris_runtime: Any) -> None:
    event = {**ATTRIBUTES, "data": {**V2_BODY, "parameters": {"binary_data_output": True}}}
    response = httpx.post(iris_runtime.url + V2, content=json.dumps(event), headers=STRUCTURED)
    assert (response.status_code, "ask for JSON" in response.json()["error"]) == (400, True)


def test_kserves_variables(iris_dir: Path, start_runtime: Callable[..., RuntimeProcess]) -> None:
    runtime = start_runtime(
        "--model_name=iris", f"--model_dir={iris_dir}", "--allow-code",
        CE_MERGE="true", CE_TYPE="my.type", CE_SOURCE="my.source",
    )  # fmt: skip
    runtime.wait_ready()
    binary = httpx.post(runtime.url + V1, json=V1_BODY, headers={**BINARY, "ce-datacontenttype": "application/json"})
    check(attributes_of(binary), type="my.type", source="my.source", tenant="größe")
    structured = httpx.post(runtime.url + V1, content=json.dumps({**ATTRIBUTES, "data": V1_BODY}), headers=STRUCTURED)
    answer = structured.json()
    assert (answer.pop("data"), answer.pop("datacontenttype")) == ({"predictions": [0, 2]}, "application/json")
    check(answer, type="my.type", source="my.source", tenant="größe")
