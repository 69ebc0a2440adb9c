"""v1 bodies as they are, over HTTP, and what the metrics say about workers."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import grpc
import httpx
import orjson
import pytest

from tests.runtime.conftest import wait_for
from tests.runtime.doors.grpc.conftest import PB, Client, target_of

CODE = """
import os
from haizen_runtime import Model

class Code(Model):
    takes_json = True

    def predict(self, body):
        if isinstance(body.get("instances"), list):
            return {"predictions": [item["image"]["b64"] for item in body["instances"]], "pid": os.getpid()}
        return body
"""


def test_v1_bodies_come_as_they_are_and_v2_as_arrays(serve_code: Callable[..., Any]) -> None:
    runtime = serve_code(CODE)
    url = f"{runtime.url}/v1/models/code:predict"
    images: list[dict[str, Any]] = [{"image": {"b64": "AAAA"}}, {"image": {"b64": "BBBB"}, "more": [[], 1]}]
    assert httpx.post(url, json={"instances": images}).json()["predictions"] == ["AAAA", "BBBB"]
    odd = {"anything": {"at": ["all", 1, None]}}
    assert httpx.post(url, json=odd).json() == odd
    for bad in (b"[1]", b"{", b""):
        assert httpx.post(url, content=bad).status_code == 400
    body = {"inputs": [{"name": "x", "shape": [2], "datatype": "INT8", "data": [1, 2]}]}
    assert httpx.post(f"{runtime.url}/v2/models/code/infer", json=body).json()["outputs"][0]["data"] == [1, 2]


@pytest.mark.parametrize("processes", [1, 2])
def test_the_depth_of_bodies_is_that_of_the_setting(serve_code: Callable[..., Any], processes: int) -> None:
    deep = {"a": nested(199)}
    assert httpx.post(f"{serve_code(CODE).url}/v1/models/code:predict", json=deep).status_code == 400
    runtime = serve_code(CODE, "--max_json_depth=200", f"--processes={processes}")
    url = f"{runtime.url}/v1/models/code:predict"
    assert httpx.post(url, json=deep).json() == deep
    refused = httpx.post(url, json={"a": nested(200)})
    assert (refused.status_code, refused.json()) == (400, {"error": "The JSON body nests deeper than 200 levels."})


def test_the_depth_of_a_body_that_comes_as_a_tensor(serve_code: Callable[..., Any]) -> None:
    """No door looks into a tensor: the worker does."""
    runtime = serve_code(CODE, "--max_json_depth=20")
    client = Client(target_of(runtime))
    for levels, fails in ((20, False), (21, True)):
        text = orjson.dumps({"a": nested(levels - 1)})
        tensor = {"name": "application/json", "shape": [1], "datatype": "BYTES", "data": [text.decode()]}
        answer = httpx.post(f"{runtime.url}/v2/models/code/infer", json={"inputs": [tensor]})
        assert answer.status_code == (400 if fails else 200)
        assert ("nests deeper than 20 levels" in answer.text) is fails
        message = PB.ModelInferRequest(model_name="code")
        contents = message.inputs.add(name="application/json", datatype="BYTES", shape=[1]).contents
        contents.bytes_contents.append(text)
        with pytest.raises(grpc.RpcError, match="nests deeper than 20 levels") if fails else nullcontext():
            assert client.call("ModelInfer", message).outputs[0].contents.bytes_contents == [text]
    client.channel.close()


def nested(levels: int) -> Any:
    """Lists within lists."""
    value: list[Any] = []
    for _ in range(levels - 1):
        value = [value]
    return value


def test_metrics_tell_the_memory_and_the_restarts_of_workers(serve_code: Callable[..., Any]) -> None:
    runtime = serve_code(CODE)
    labels = '{model_name="code",model_version="1",worker="0"}'

    def metric(name: str) -> float:
        lines = httpx.get(f"{runtime.url}/metrics").text.splitlines()
        return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(name + labels)), -1)

    assert 5e6 < metric("haizen_worker_resident_memory_bytes") < 2e9
    assert metric("haizen_worker_restarts_total") == 0
    first = {"instances": [{"image": {"b64": "AAAA"}}]}
    os.kill(httpx.post(f"{runtime.url}/v1/models/code:predict", json=first).json()["pid"], signal.SIGKILL)
    wait_for(lambda: metric("haizen_worker_restarts_total") == 1)
