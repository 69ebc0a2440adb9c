"""The HTTP doors of a real process: every route, over HTTP/1.1 and over h2c, good and bad."""

from __future__ import annotations

import gzip
import json
import re
import socket
import subprocess
import time
import zlib
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

ROW = [5.1, 3.5, 1.4, 0.2]
V1, V2 = "/v1/models/iris:predict", "/v2/models/iris/infer"


def v2_body(**changes: Any) -> dict[str, Any]:
    return {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP64", "data": ROW, **changes}]}


def over_http1(url: str, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> tuple[int, Any]:
    response = httpx.request(method, url + path, content=body, headers=headers)
    return response.status_code, response.json() if response.content else None


def over_h2c(url: str, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> tuple[int, Any]:
    command = ["curl", "--silent", "--http2-prior-knowledge", "--write-out", "\n%{http_version} %{http_code}"]
    command += ["--head"] if method == "HEAD" else ["--request", method]
    for name, value in headers.items():
        command += ["--header", f"{name}: {value}"]
    if body is not None:
        command += ["--data-binary", "@-"]
    done = subprocess.run([*command, url + path], input=body or b"", capture_output=True, check=True, timeout=60)
    content, _, last = done.stdout.rpartition(b"\n")
    version, status = last.split()
    assert version == b"2"
    return int(status), json.loads(content) if content and method != "HEAD" else None


DOORS = [pytest.param(over_http1, id="http1"), pytest.param(over_h2c, id="h2c")]
JSON = {"content-type": "application/json"}


@pytest.mark.parametrize("call", DOORS)
@pytest.mark.parametrize(
    ("method", "path", "status", "expected"),
    [
        pytest.param("GET", "/", 200, {"status": "alive"}, id="root"),
        pytest.param("GET", "/healthz", 200, {"live": True}, id="healthz"),
        pytest.param("GET", "/v2/health/live", 200, {"live": True}, id="live"),
        pytest.param("GET", "/v2/health/ready", 200, {"ready": True}, id="ready"),
        pytest.param("HEAD", "/v2/health/ready", 200, None, id="head"),
        pytest.param("GET", "/v1/models", 200, {"models": ["iris"]}, id="v1-list"),
        pytest.param(
            "GET", "/v1/models/iris", 200,
            {"name": "iris", "ready": True, "model_version_status": [
                {"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}]},
            id="v1-model",
        ),
        pytest.param("GET", "/v2/models", 200, {"models": ["iris"]}, id="v2-list"),
        pytest.param("GET", "/v2/models/iris/ready", 200, {"name": "iris", "ready": True}, id="v2-ready"),
        pytest.param("GET", "/v2/models/iris/versions/1/ready", 200, {"name": "iris", "ready": True}, id="v2-version"),
        pytest.param(
            "GET", "/v2/models/iris", 200,
            {"name": "iris", "versions": ["1"], "platform": "sklearn", "properties": {},
             "inputs": [{"name": "input-0", "datatype": "FP64", "shape": [-1, 4]}],
             "outputs": [{"name": "output-0", "datatype": "INT64", "shape": [-1]}]}, id="v2-metadata",
        ),
        pytest.param("GET", "/v1/models/rose", 404, {"error": "Model with name rose does not exist."}, id="v1-unknown"),
        pytest.param("GET", "/v2/models/rose", 404, {"error": "Model with name rose does not exist."}, id="v2-unknown"),
        pytest.param(
            "GET", "/v2/models/iris/versions/7", 404,
            {"error": "Model iris has no version 7; the versions it has: 1."}, id="unknown-version",
        ),
        pytest.param("GET", "/nowhere", 404, {"error": "No such path: /nowhere"}, id="unknown-path"),
        pytest.param("GET", V2, 405, {"error": "Method GET is not allowed here; use POST."}, id="get-infer"),
        pytest.param("DELETE", "/v2/models/iris", 405, {"error": "Method DELETE is not allowed here; use GET, HEAD."},
                     id="delete-model"),
    ],
)  # fmt: skip
def test_routes(iris_runtime: Any, call: Any, method: str, path: str, status: int, expected: Any) -> None:
    assert call(iris_runtime.url, method, path, None, {}) == (status, expected)


@pytest.mark.parametrize("call", DOORS)
@pytest.mark.parametrize("datatype", ["FP64", "FP32", "INT64", "INT32", "UINT8"])
@pytest.mark.parametrize("rows", [pytest.param(slice(0, 1), id="one-row"), pytest.param(slice(0, 150), id="all-rows")])
def test_v2_answers_are_the_models_own(
    iris_runtime: Any, iris_data: Any, iris_model: Any, call: Any, datatype: str, rows: slice
) -> None:
    from haizen_runtime.protocol.dtypes import NUMPY_OF

    features = iris_data[0][rows].astype(NUMPY_OF[datatype])
    body = {"id": "7", "inputs": [
        {"name": "x", "shape": list(features.shape), "datatype": datatype, "data": features.ravel().tolist()}
    ]}  # fmt: skip
    status, answer = call(iris_runtime.url, "POST", V2, orjson.dumps(body), JSON)
    assert status == 200
    expected = iris_model.predict(features)
    assert answer == {
        "model_name": "iris", "model_version": "1", "id": "7",
        "outputs": [
            {"name": "output-0", "datatype": "INT64", "shape": [len(expected)], "data": expected.tolist()}
        ],
    }  # fmt: skip


@pytest.mark.parametrize("call", DOORS)
def test_v1_answers_are_the_models_own(iris_runtime: Any, iris_data: Any, iris_model: Any, call: Any) -> None:
    body = orjson.dumps({"instances": iris_data[0].tolist()})
    predictions = iris_model.predict(iris_data[0]).tolist()
    assert call(iris_runtime.url, "POST", V1, body, JSON) == (200, {"predictions": predictions})


@pytest.mark.parametrize("call", DOORS)
@pytest.mark.parametrize(
    ("path", "body", "headers", "status", "says"),
    [
        pytest.param(V2, b"", {}, 400, "empty", id="empty"),
        pytest.param(V2, b"{", {}, 400, "not valid JSON", id="broken-json"),
        pytest.param(V1, b'{"instances": "x"}', {}, 400, "to be a list", id="v1-not-a-list"),
        pytest.param(V1, b'{"instances": [[1, 2]]}', {}, 400, "[1, 2]; the model expects [-1, 4]", id="v1-shape"),
        pytest.param(V1, b'{"instances": [["a", "b", "c", "d"]]}', {}, 400, "datatype BYTES", id="v1-strings"),
        pytest.param(V1, b'{"instances": [[1, 2, 3, null]]}', {}, 400, "contains NaN", id="v1-nan"),
        pytest.param(V2, orjson.dumps(v2_body(shape=[4])), {}, 400, '"x" has shape [4]', id="v2-rank"),
        pytest.param(V2, orjson.dumps(v2_body(shape=[1, 5])), {}, 400, "needs 5 elements", id="v2-count"),
        pytest.param(V2, orjson.dumps(v2_body(shape=[0, 4], data=[])), {}, 400, "0 rows", id="v2-no-rows"),
        pytest.param(V2, orjson.dumps(v2_body(datatype="FP31")), {}, 400, "FP31", id="v2-datatype"),
        pytest.param(
            V2, orjson.dumps({**v2_body(), "outputs": [{"name": "z"}]}), {}, 400, "has output-0", id="v2-output"
        ),
        pytest.param("/v2/models/rose/infer", orjson.dumps(v2_body()), {}, 404, "rose", id="unknown-model"),
        pytest.param(V2, b"x" * 1_000_001, {}, 413, "at most 1000000", id="too-large"),
        pytest.param(V2, b"<a/>", {"content-type": "text/xml"}, 415, "text/xml is not supported", id="xml"),
        pytest.param(V2, b"x", {"content-encoding": "br"}, 415, "use gzip, deflate or none", id="brotli"),
        pytest.param(V2, b"no gzip", {"content-encoding": "gzip"}, 400, "not valid gzip", id="not-gzip"),
        pytest.param(V2, gzip.compress(b"{}")[:-9], {"content-encoding": "gzip"}, 400, "ends too early", id="cut-gzip"),
        pytest.param(
            V2, gzip.compress(bytes(10**8)), {"content-encoding": "gzip"}, 413, "when decompressed", id="bomb"
        ),
    ],
)
def test_bad_requests_are_told_what_is_wrong(
    iris_runtime: Any, call: Any, path: str, body: bytes, headers: dict[str, str], status: int, says: str
) -> None:
    got, answer = call(iris_runtime.url, "POST", path, body, {**JSON, **headers})
    assert got == status
    assert list(answer) == ["error"]
    assert says in answer["error"]
    assert httpx.get(iris_runtime.url + "/v2/health/ready").status_code == 200


@pytest.mark.parametrize(
    ("encoding", "compress"),
    [pytest.param("gzip", gzip.compress, id="gzip"), pytest.param("deflate", zlib.compress, id="deflate")],
)
def test_compressed_bodies(iris_runtime: Any, encoding: str, compress: Any) -> None:
    body = compress(orjson.dumps(v2_body()))
    response = httpx.post(iris_runtime.url + V2, content=body, headers={"content-encoding": encoding})
    assert response.json()["outputs"][0]["data"] == [0]


def test_headers_of_an_answer(iris_runtime: Any) -> None:
    response = httpx.post(iris_runtime.url + V2, json=v2_body(), headers={"X-Request-ID": "abc-1"})
    assert response.headers["haizen-revision"] == "iris-predictor-00001"
    assert response.headers["x-request-id"] == "abc-1"
    assert response.headers["content-type"] == "application/json"
    error = httpx.get(iris_runtime.url + "/nowhere")
    assert error.headers["haizen-revision"] == "iris-predictor-00001"


def test_metrics_have_kserves_names_and_ours(iris_runtime: Any) -> None:
    def counts() -> dict[str, float]:
        lines = httpx.get(iris_runtime.url + "/metrics").text.splitlines()
        return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}

    before = counts()
    for _ in range(3):
        httpx.post(iris_runtime.url + V2, json=v2_body())
    httpx.post(iris_runtime.url + V2, content=b"{")
    after = counts()
    for name, more in [
        ('request_preprocess_seconds_count{model_name="iris"}', 3),
        ('request_predict_seconds_count{model_name="iris"}', 3),
        ('request_postprocess_seconds_count{model_name="iris"}', 3),
        ('haizen_requests_total{code="200",door="v2",model_name="iris"}', 3),
        ('haizen_requests_total{code="400",door="v2",model_name="iris"}', 1),
        ('haizen_batch_rows_sum{model_name="iris"}', 3),
        ('haizen_queue_seconds_count{model_name="iris"}', 3),
        ('haizen_batch_seconds_count{model_name="iris"}', 3),
    ]:
        assert after[name] - before.get(name, 0) == more, name
    assert after['haizen_model_ready{model_name="iris",model_version="1"}'] == 1
    assert after['haizen_requests_in_flight{model_name="iris",model_version="1"}'] == 0
    assert "process_resident_memory_bytes" in after
    seconds = 'haizen_batch_seconds_sum{model_name="iris"}'
    assert after[seconds] > before.get(seconds, 0)


def test_the_page_names_all_metrics(iris_runtime: Any) -> None:
    page = Path(__file__).parents[3].joinpath("docs", "http.md").read_text()
    table = page.partition("## Metrics\n")[2].partition("\n## ")[0]
    first = "\n".join(row.split("|")[1] for row in table.splitlines() if row.startswith("| `"))
    told = set(re.findall(r"`(\w+)`", first))
    text = httpx.get(iris_runtime.url + "/metrics").text
    ours = set(re.findall(r"^# TYPE ((?:haizen|request)_\w+) ", text, re.MULTILINE))
    assert told == {*ours, "haizen_processes"}  # which one process alone has not


def test_odd_names_do_not_grow_the_metrics(iris_runtime: Any) -> None:
    size = len(httpx.get(iris_runtime.url + "/metrics").text.splitlines())
    with httpx.Client() as client:
        for number in range(300):
            assert client.post(f"{iris_runtime.url}/v2/models/odd-{number}/infer", json=v2_body()).status_code == 404
    assert len(httpx.get(iris_runtime.url + "/metrics").text.splitlines()) <= size + 2


def raw(url: str, request: bytes) -> bytes:
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(request)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    return answer


def test_a_chunked_body_is_limited_while_it_arrives(iris_runtime: Any) -> None:
    head = f"POST {V2} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n".encode()
    answer = raw(iris_runtime.url, head + b"f4240\r\n" + b"x" * 1_000_000 + b"\r\n5\r\nxxxxx\r\n0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 413")


def test_a_body_that_does_not_come_times_out(hasty_runtime: Any) -> None:
    answer = raw(hasty_runtime.url, f"POST {V2} HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{{".encode())
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"did not arrive within 2 seconds" in answer


def test_clients_that_leave_in_the_middle_leave_nothing_behind(iris_runtime: Any) -> None:
    host, port = iris_runtime.url.removeprefix("http://").split(":")
    body = orjson.dumps(v2_body())
    head = f"POST {V2} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n".encode()
    for number in range(100):
        with socket.create_connection((host, int(port)), timeout=30) as connection:
            connection.sendall((head + body)[: 1 + number * len(head + body) // 99])
    end = time.monotonic() + 60
    name = 'haizen_requests_in_flight{model_name="iris",model_version="1"} 0.0'
    while name not in httpx.get(iris_runtime.url + "/metrics").text:
        assert time.monotonic() < end, "requests of clients that left are still in flight"
        time.sleep(0.1)
    assert "Traceback" not in iris_runtime.log
