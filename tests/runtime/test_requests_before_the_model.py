"""Requests that come while the model is still on its way: they wait for it, in bounds, and none is lost."""

from __future__ import annotations

import gzip
import json
import re
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import orjson
import pytest

from tests.runtime.conftest import RuntimeProcess, wait_for
from tests.runtime.doors.grpc.conftest import infer_request
from tests.runtime.storage.faulty_server import FaultyServer, faulty_server

ROW = [5.1, 3.5, 1.4, 0.2]
INFER, PREDICT = "/v2/models/iris/infer", "/v1/models/iris:predict"


def infer_body(rows: int = 1) -> bytes:
    return orjson.dumps({"inputs": [{"name": "x", "shape": [rows, 4], "datatype": "FP64", "data": ROW * rows}]})


class LateModel:
    """A store that lets the runtime wait for its model, and a pool of clients."""

    def __init__(self, server: FaultyServer, content: bytes, start: Callable[..., RuntimeProcess], clients: Any):
        self._start, self._clients, self._server = start, clients, server
        self._released = threading.Event()
        self._status = 200

        def answer(_: object) -> tuple[int, dict[str, str], bytes]:
            self._released.wait()
            return (self._status, {}, content) if self._status == 200 else (self._status, {}, b"")

        server.dynamic["/model.joblib"] = answer

    def start(self, *arguments: str) -> None:
        self.runtime = self._start(
            "--model_name=iris", f"--storage_uri={self._server.url}/model.joblib", "--allow_code", *arguments
        )
        self.url = self.runtime.url

    def release(self, status: int = 200) -> None:
        self._status = status
        self._released.set()

    def post(self, path: str, body: bytes, headers: dict[str, str] | None = None) -> Future[httpx.Response]:
        future: Future[httpx.Response] = self._clients.submit(
            httpx.post, self.url + path, content=body, headers=headers, timeout=120
        )
        return future

    def held(self) -> int:
        text = httpx.get(self.url + "/metrics", timeout=60).text
        found = re.search(r'^haizen_requests_held\{model_name="iris",model_version="1"\} (\d+)', text, re.MULTILINE)
        assert found, text
        return int(found[1])

    def wait_held(self, count: int) -> None:
        wait_for(lambda: self.held() == count, lambda: f"{self.held()} are held; {self.runtime.describe()}")


@pytest.fixture
def late(tmp_path: Path, iris_dir: Path, start_runtime: Callable[..., RuntimeProcess]) -> Iterator[LateModel]:
    with faulty_server() as server, ThreadPoolExecutor(40) as clients:
        content = (iris_dir / "model.joblib").read_bytes()
        model = LateModel(server, content, lambda *words: start_runtime(f"--model_dir={tmp_path}/m", *words), clients)
        try:
            yield model
        finally:
            model.release()


def test_all_wait_and_all_are_answered(late: LateModel) -> None:
    late.start()
    many = infer_body(5000)
    assert len(many) > 1 << 16, "larger than what the server buffers by itself"
    waiting = [late.post(INFER, infer_body()) for _ in range(15)]
    waiting += [late.post(PREDICT, orjson.dumps({"instances": [ROW]})) for _ in range(15)]
    waiting += [late.post(INFER, many), late.post(INFER, gzip.compress(many), {"content-encoding": "gzip"})]
    command = ["curl", "--silent", "--show-error", "--http2-prior-knowledge", "--data-binary", "@-", late.url + INFER]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as curl:
        assert curl.stdin is not None
        assert curl.stdout is not None
        curl.stdin.write(many)
        curl.stdin.close()
        late.wait_held(33)
        ready = httpx.get(late.url + "/v2/health/ready")
        assert (ready.status_code, ready.json()) == (503, {"ready": False})
        assert httpx.get(late.url + "/v2/health/live").status_code == 200
        assert httpx.get(late.url + "/v2/models/iris/ready").status_code == 503
        assert httpx.post(late.url + "/v2/models/rose/infer", content=infer_body()).status_code == 404
        assert not any(each.done() for each in waiting)
        late.release()
        over_h2c = json.load(curl.stdout)
    answers = [each.result() for each in waiting]
    assert [answer.status_code for answer in answers] == [200] * 32, [answer.text for answer in answers]
    assert [answer.json()["outputs"][0]["data"] for answer in answers[:15]] == [[0]] * 15
    assert [answer.json()["predictions"] for answer in answers[15:30]] == [[0]] * 15
    assert [answer.json()["outputs"][0]["data"] for answer in answers[30:]] == [[0] * 5000] * 2
    assert over_h2c["outputs"][0]["data"] == [0] * 5000
    assert late.held() == 0
    late.runtime.wait_ready()
    assert "Traceback" not in late.runtime.log


def test_a_body_may_come_before_and_after_the_load(late: LateModel) -> None:
    late.start()
    body = infer_body(5000)
    host, port = late.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        head = f"POST {INFER} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
        connection.sendall(head.encode() + body[: len(body) // 2])
        late.wait_held(1)
        late.release()
        late.runtime.wait_ready()
        connection.sendall(body[len(body) // 2 :])
        answer = b""
        while chunk := connection.recv(1 << 16):
            answer += chunk
    assert answer.startswith(b"HTTP/1.1 200")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["outputs"][0]["data"] == [0] * 5000


def test_more_than_the_limit_are_refused_at_once(late: LateModel) -> None:
    late.start("--queue_limit=2")
    waiting = [late.post(INFER, infer_body()) for _ in range(2)]
    late.wait_held(2)
    refused = late.post(PREDICT, b"{}").result()
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert refused.json() == {"error": "Model iris is not loaded yet and 2 requests wait already; try again later."}
    late.release()
    assert [each.result().status_code for each in waiting] == [200, 200]
    metrics = httpx.get(late.url + "/metrics").text
    assert 'haizen_requests_dropped_total{model_name="iris",reason="queue_full"} 1.0' in metrics
    assert 'haizen_requests_total{code="503",door="v1",model_name="iris"} 1.0' in metrics


def test_the_bodies_that_wait_are_bounded(late: LateModel) -> None:
    late.start("--max_body_bytes=200000")
    waiting = [late.post(INFER, infer_body().ljust(200_000)) for _ in range(2)]
    late.wait_held(2)
    refused = late.post(INFER, infer_body()).result()
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert "more than 400000 bytes" in refused.json()["error"]
    assert late.post(INFER, bytes(200_001)).result().status_code == 413
    late.release()
    assert [each.result().status_code for each in waiting] == [200, 200]


def test_the_bodies_that_wait_are_bounded_by_the_setting_through_all_doors(late: LateModel) -> None:
    late.start("--max_waiting_bytes=300000")
    waiting = [late.post(INFER, infer_body().ljust(200_000)), late.post(PREDICT, orjson.dumps({"instances": [ROW]}))]
    late.wait_held(2)
    refused = late.post(INFER, infer_body().ljust(100_000)).result()
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert "more than 300000 bytes" in refused.json()["error"]
    message = infer_request("iris", "FP64", np.array([ROW] * 4000))
    with grpc.insecure_channel(late.url.removeprefix("http://")) as channel:
        method = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        with pytest.raises(grpc.RpcError) as caught:
            method(message.SerializeToString(), timeout=60)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert "more than 300000 bytes" in caught.value.details()
    late.release()
    assert [each.result().status_code for each in waiting] == [200, 200]


def test_a_wait_has_an_end(late: LateModel) -> None:
    late.start("--load_wait_seconds=0.5")
    over = late.post(INFER, infer_body()).result()
    assert (over.status_code, over.headers["retry-after"]) == (503, "1")
    assert "was not loaded within 0.5 seconds" in over.json()["error"]
    assert late.post(INFER, infer_body(), {"x-envoy-expected-rq-timeout-ms": "100"}).result().status_code == 504
    assert late.held() == 0


@pytest.mark.parametrize("size", [pytest.param(1000, id="small"), pytest.param(1_000_000, id="larger-than-buffers")])
@pytest.mark.parametrize("whole", [pytest.param(True, id="whole-body"), pytest.param(False, id="half-a-body")])
def test_a_client_that_leaves_gives_its_place_back(late: LateModel, size: int, whole: bool) -> None:
    late.start("--queue_limit=1")
    host, port = late.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        head = f"POST {INFER} HTTP/1.1\r\nhost: x\r\ncontent-length: {size}\r\n\r\n"
        connection.sendall(head.encode() + bytes(size if whole else size // 2))
        late.wait_held(1)
    late.wait_held(0)
    other = late.post(INFER, infer_body())
    late.wait_held(1)
    late.release()
    assert other.result().status_code == 200


def test_an_h2c_client_that_leaves_gives_its_place_back(late: LateModel) -> None:
    late.start()
    command = ["curl", "--silent", "--http2-prior-knowledge", "--data-binary", "{}", late.url + INFER]
    with subprocess.Popen(command) as curl:
        late.wait_held(1)
        curl.kill()
    late.wait_held(0)


def test_a_failed_load_is_told_to_all_who_wait(late: LateModel) -> None:
    late.start()
    waiting = [late.post(INFER, infer_body()), late.post(PREDICT, b"{}")]
    late.wait_held(2)
    late.release(status=404)
    for answer in [each.result() for each in waiting]:
        assert answer.status_code == 503
        assert "answered 404: there is nothing at this address" in answer.json()["error"]
    assert late.runtime.wait_exit() == 4, late.runtime.log


def test_a_sigterm_lets_those_who_wait_be_answered(late: LateModel) -> None:
    late.start()
    waiting = late.post(INFER, infer_body())
    late.wait_held(1)
    late.runtime.terminate()
    wait_for(lambda: "draining" in late.runtime.log, late.runtime.describe)
    after = late.post(INFER, infer_body())
    late.wait_held(2)
    late.release()
    assert [waiting.result().status_code, after.result().status_code] == [200, 200]
    assert late.runtime.wait_exit() == 0, late.runtime.log


def test_a_sigterm_ends_the_wait_with_the_drain(late: LateModel) -> None:
    late.start("--drain_timeout_seconds=1")
    waiting = late.post(INFER, infer_body())
    late.wait_held(1)
    late.runtime.terminate()
    answer = waiting.result()
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert late.runtime.wait_exit() == 0, late.runtime.log
    assert "Traceback" not in late.runtime.log
