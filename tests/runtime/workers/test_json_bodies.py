"""v1 bodies as they are, over HTTP, and what the metrics say about workers."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import httpx

from tests.runtime.conftest import wait_for

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
