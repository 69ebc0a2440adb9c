"""A worker whose memory is limited, as a container's is: what does not fit costs its own request only."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx

from tests.runtime.workers.conftest import infer

CODE = """
import os, resource
import numpy as np
from haizen_runtime import Model

class Code(Model):
    def load(self):
        resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))

    def predict(self, inputs):
        np.ones(int(inputs["x"][0]) << 20, np.uint8)
        return [os.getpid()]
"""


def test_what_does_not_fit_costs_its_own_request(serve_code: Callable[..., Any]) -> None:
    runtime = serve_code(CODE)
    before = infer(runtime.url, [1.0]).json()["outputs"][0]["data"]
    with ThreadPoolExecutor(4) as clients:
        answers = list(clients.map(lambda mebibytes: infer(runtime.url, [mebibytes]), [1.0, 8192.0] * 4))
    assert [answer.status_code for answer in answers] == [200, 503] * 4
    for answer in answers[1::2]:
        assert answer.json() == {"error": "The model ran out of memory on this request."}
        assert answer.headers["retry-after"] == "1"
    assert infer(runtime.url, [1.0]).json()["outputs"][0]["data"] == before, "the same process goes on"
    assert httpx.get(f"{runtime.url}/v2/health/ready").status_code == 200
