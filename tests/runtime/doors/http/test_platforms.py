"""The container contracts of SageMaker and Vertex AI: their paths, variables and forms of requests."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from haizen_runtime.settings import Settings
from tests.runtime.conftest import RuntimeProcess

ROWS = [[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]]
CSV = "5.1,3.5,1.4,0.2\n6.7,3.0,5.2,2.3\n"
V2 = {"inputs": [{"name": "x", "shape": [2, 4], "datatype": "FP64", "data": ROWS}]}
V2_ANSWER = {
    "model_name": "iris", "model_version": "1",
    "outputs": [{"name": "output-0", "datatype": "INT64", "shape": [2], "data": [0, 2]}],
}  # fmt: skip
JSON, UTF8_CSV = "application/json", "text/csv; charset=utf-8"


def test_ping(iris_runtime: Any) -> None:
    assert httpx.get(iris_runtime.url + "/ping").status_code == 200


@pytest.mark.parametrize(
    ("body", "headers", "kind", "answer"),
    [
        pytest.param({"instances": ROWS}, {}, JSON, {"predictions": [0, 2]}, id="v1"),
        pytest.param({"inputs": {"x": ROWS}}, {}, JSON, {"outputs": [0, 2]}, id="tf-columns"),
        pytest.param({"dataframe_split": {"data": ROWS}}, {}, JSON, {"predictions": [0, 2]}, id="mlflow-rows"),
        pytest.param({"dataframe_split": {"columns": list("abcd"), "data": ROWS}}, {}, JSON, {"predictions": [0, 2]},
                     id="mlflow-split"),
        pytest.param({"dataframe_records": [dict(zip("abcd", row, strict=True)) for row in ROWS]}, {}, JSON,
                     {"predictions": [0, 2]}, id="mlflow-records"),
        pytest.param(V2, {}, JSON, V2_ANSWER, id="v2"),
        pytest.param(CSV, {"content-type": "text/csv"}, JSON, {"predictions": [0, 2]}, id="csv"),
        pytest.param("\ufeff" + CSV.replace("\n", "\r\n"), {"content-type": UTF8_CSV, "accept": "text/csv"}, UTF8_CSV,
                     "0\n2\n", id="csv-both-ways"),
        pytest.param(V2, {"accept": "text/csv"}, UTF8_CSV, "0\n2\n", id="v2-to-csv"),
        pytest.param({"instances": ROWS}, {"x-amzn-sagemaker-target-model": "iris.tar.gz"}, JSON,
                     {"predictions": [0, 2]}, id="target-model"),
    ],
)  # fmt: skip
def test_invocations(iris_runtime: Any, body: Any, headers: dict[str, str], kind: str, answer: Any) -> None:
    content = body if isinstance(body, str) else json.dumps(body)
    response = httpx.post(iris_runtime.url + "/invocations", content=content, headers={"content-type": JSON, **headers})
    assert (response.status_code, response.headers["content-type"]) == (200, kind), response.text
    assert (response.text if kind.startswith("text") else response.json()) == answer


def test_tritons_content_type_for_sagemaker(iris_runtime: Any) -> None:
    kind, tail = "application/vnd.sagemaker-triton.binary+json", np.array(ROWS).tobytes()
    tensor = {"name": "x", "shape": [2, 4], "datatype": "FP64", "parameters": {"binary_data_size": len(tail)}}
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    response = httpx.post(
        iris_runtime.url + "/invocations", content=head + tail,
        headers={"content-type": f"{kind};json-header-size={len(head)}"},
    )  # fmt: skip
    got, _, length = response.headers["content-type"].partition(";json-header-size=")
    assert got == kind
    assert response.content[int(length) :] == np.array([0, 2]).tobytes()


@pytest.mark.parametrize(
    ("body", "headers", "status", "says"),
    [
        pytest.param(b"", {"content-type": "text/csv"}, 400, "a row a line", id="csv-empty"),
        pytest.param(b"1,2\n3\n", {"content-type": "text/csv"}, 400, "not of equal length", id="csv-ragged"),
        pytest.param(b"1,2,3,4\n\xff", {"content-type": "text/csv"}, 400, "not valid CSV", id="csv-bytes"),
        pytest.param(b'1,"2', {"content-type": "text/csv"}, 400, "not valid CSV", id="csv-quote"),
        pytest.param(b'{"dataframe_split": [1]}', {"content-type": JSON}, 400, '"columns" and "data"',
                     id="mlflow-list"),
        pytest.param(b'{"dataframe_split": {"columns": [1], "data": [[1]]}}', {"content-type": JSON}, 400,
                     "a list of names", id="mlflow-columns"),
        pytest.param(b'{"dataframe_split": {"columns": ["a"], "data": [[1, 2]]}}', {"content-type": JSON}, 400,
                     "a list of 1 values", id="mlflow-ragged"),
        pytest.param(b"a,b,c,d", {"content-type": "text/csv"}, 400, "datatype BYTES", id="csv-text"),
        pytest.param(b"{}", {"content-type": "application/x-npy"}, 415, "x-npy", id="npy"),
        pytest.param(b"{}", {"content-type": "application/vnd.sagemaker-triton.binary+json"}, 400,
                     "no json-header-size", id="triton-without-size"),
        pytest.param(b"{}", {"content-type": JSON, "x-amzn-sagemaker-target-model": "rose.tar.gz"}, 404,
                     "rose does not exist", id="unknown-model"),
    ],
)  # fmt: skip
def test_bad_invocations(iris_runtime: Any, body: bytes, headers: dict[str, str], status: int, says: str) -> None:
    response = httpx.post(iris_runtime.url + "/invocations", content=body, headers=headers)
    assert response.status_code == status
    assert says in response.json()["error"]


def test_several_models_need_a_name(models: Any) -> None:
    refused = httpx.post(models.url + "/invocations", json={"instances": ROWS})
    assert (refused.status_code, "iris" in refused.json()["error"]) == (400, True)
    headers = {"x-amzn-sagemaker-target-model": "iris.tar.gz"}
    answer = httpx.post(models.url + "/invocations", json={"instances": ROWS}, headers=headers)
    assert answer.json() == {"predictions": [0, 2]}


def test_floats_in_csv_are_short(models: Any) -> None:
    headers = {"x-amzn-sagemaker-target-model": "fp32", "content-type": "text/csv", "accept": "text/csv"}
    assert (
        httpx.post(models.url + "/invocations", content="0.1,2\n-3,4e10\n", headers=headers).text
        == "0.1,2.0\n-3.0,4e+10\n"
    )


def test_vertex_ais_contract(iris_dir: Path, start_program: Callable[..., RuntimeProcess]) -> None:
    health, predict = "/v1/endpoints/1/deployedModels/2", "/v1/endpoints/1/deployedModels/2:predict"
    runtime = start_program(
        "-m", "haizen_runtime.main", "--host=127.0.0.1", f"--model_dir={iris_dir}", "--allow-code",
        HAIZEN_HTTP_PORT="0", AIP_HTTP_PORT="1", AIP_HEALTH_ROUTE=health, AIP_PREDICT_ROUTE=predict, AIP_STORAGE_URI="",
    )  # fmt: skip
    held = httpx.post(runtime.url + predict, json={"instances": ROWS, "parameters": {"a": 1}}, timeout=120)
    assert (held.status_code, held.json()) == (200, {"predictions": [0, 2]})  # it waited for the model
    runtime.wait_ready()
    assert httpx.get(runtime.url + health).status_code == 200
    assert httpx.post(runtime.url + predict, json=V2).json()["outputs"] == V2_ANSWER["outputs"]
    assert httpx.get(runtime.url + predict).status_code == 405
    assert (
        'haizen_requests_total{code="200",door="vertex",model_name="model"} 2.0'
        in httpx.get(runtime.url + "/metrics").text
    )


@pytest.mark.parametrize(
    ("arguments", "environment", "expected"),
    [
        pytest.param([], {"AIP_HTTP_PORT": "9000"}, {"http_port": 9000}, id="port"),
        pytest.param([], {"AIP_HTTP_PORT": "9000", "HAIZEN_HTTP_PORT": "9001"}, {"http_port": 9001}, id="ours-first"),
        pytest.param(["--http_port=9002"], {"AIP_HTTP_PORT": "9000"}, {"http_port": 9002}, id="argument-first"),
        pytest.param([], {"AIP_STORAGE_URI": "gs://b/m"}, {"storage_uri": "gs://b/m"}, id="storage"),
        pytest.param([], {"AIP_STORAGE_URI": ""}, {"storage_uri": ""}, id="no-storage"),
        pytest.param([], {"AIP_STORAGE_URI": "gs://b/m", "STORAGE_URI": "s3://b/m"}, {"storage_uri": "s3://b/m"},
                     id="kserves-first"),
        pytest.param([], {"AIP_HEALTH_ROUTE": "/h", "AIP_PREDICT_ROUTE": "/p"},
                     {"health_route": "/h", "predict_route": "/p"}, id="routes"),
    ],
)  # fmt: skip
def test_vertex_ais_variables(arguments: list[str], environment: dict[str, str], expected: dict[str, Any]) -> None:
    settings, _ = Settings.parse(arguments, environment)
    assert {name: getattr(settings, name) for name in expected} == expected
