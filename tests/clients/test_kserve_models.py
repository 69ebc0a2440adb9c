"""A subclass of kserve.Model is answered by haizen as by KServe's own server: status, body, and errors."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import kserve
import numpy as np
import pytest

from tests.clients.conftest import PYTHON
from tests.runtime.conftest import SERVE, RuntimeProcess, wait_for

CODE = Path(__file__).with_name("kserve_model") / "model.py"
ANSWERS = [
    "dictionary", "more-in-it", "without-predictions", "arrays", "nan", "preprocessed", "floats", "integers", "texts",
]  # fmt: skip
HEADERS = {"X-Tenant": "blue", "Authorization": "Bearer x"}
ERRORS = [
    "invalid", "inference", "not-found", "not-ready", "server-not-ready", "server-not-live", "protocol",
    "not-implemented",
]  # fmt: skip


@dataclass(frozen=True)
class Servers:
    """The same model behind two servers."""

    own: str
    haizen: str

    def both(self, path: str, body: Any) -> tuple[httpx.Response, httpx.Response]:
        """KServe's answer and haizen's."""
        own, haizen = (
            httpx.post(url + path, json=body, headers=HEADERS, timeout=60) for url in (self.own, self.haizen)
        )
        return own, haizen


@pytest.fixture(scope="module", params=["", "1"], ids=["ordinary", "coroutines"])
def servers(request: pytest.FixtureRequest) -> Iterator[Servers]:
    environment = {"KSERVE_PACKAGES": str(Path(kserve.__file__).parents[1]), "COROUTINES": request.param}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    own = RuntimeProcess([str(CODE), str(port)], environment)
    haizen = RuntimeProcess(
        [*SERVE, "--model_name=iris", f"--model_dir={CODE.parent}", "--allow_code"], environment, PYTHON
    )
    url = f"http://127.0.0.1:{port}"

    def own_is_ready() -> bool:
        assert own.process.poll() is None, own.describe()
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"{url}/v2/models/iris/ready").status_code == 200
        return False

    try:
        wait_for(own_is_ready, own.describe)
        haizen.wait_ready()
        yield Servers(url, haizen.url)
    finally:
        own.stop()
        haizen.stop()


def v1(word: str) -> dict[str, Any]:
    return {"instances": [word], "extra": 1}


def v2(word: str) -> dict[str, Any]:
    tensor = {"name": "x", "shape": [1], "datatype": "BYTES", "data": [word]}
    return {"id": "7", "parameters": {"depth": 3, "mode": "quick"}, "inputs": [tensor]}


@pytest.mark.parametrize(
    ("verb", "word"),
    [*(("predict", word) for word in (*ANSWERS, "list", "told")), *(("explain", word) for word in (*ANSWERS, "told"))],
)
def test_v1_answers(servers: Servers, verb: str, word: str) -> None:
    own, haizen = servers.both(f"/v1/models/iris:{verb}", v1(word))
    assert (own.status_code, own.json()) == (haizen.status_code, haizen.json())
    assert own.status_code == 200


@pytest.mark.parametrize("path", ["/v1/models/iris:predict", "/v1/models/iris:explain", "/v2/models/iris/infer"])
@pytest.mark.parametrize("word", ERRORS)
def test_errors(servers: Servers, path: str, word: str) -> None:
    own, haizen = servers.both(path, v2(word) if "v2" in path else v1(word))
    assert own.status_code >= 400
    assert (own.status_code, own.json()) == (haizen.status_code, haizen.json())


@pytest.mark.parametrize("word", ["floats", "integers", "texts", "told", "parameters"])
def test_v2_answers(servers: Servers, word: str) -> None:
    """The same outputs and parameters; the id is the request's, as the protocol wants it, and there is a version."""
    own, haizen = servers.both("/v2/models/iris/infer", v2(word))
    assert own.status_code == haizen.status_code == 200
    assert haizen.json()["id"] == "7"
    outputs = [{name: value for name, value in each.items() if value is not None} for each in own.json()["outputs"]]
    assert outputs == haizen.json()["outputs"]
    assert own.json().get("parameters") == haizen.json().get("parameters")


def test_an_id_is_the_models_when_the_request_has_none(servers: Servers) -> None:
    own, haizen = servers.both("/v2/models/iris/infer", {**v2("floats"), "id": None})
    assert own.json()["id"] == haizen.json()["id"] == "r-1"


@pytest.mark.parametrize("path", ["/v1/models/iris:predict", "/v2/models/iris/infer"])
def test_headers_of_the_answer(servers: Servers, path: str) -> None:
    """All but those that say how the body is sent: KServe's server sends a model's content type with its own JSON."""
    own, haizen = servers.both(path, v2("headers") if "v2" in path else v1("headers"))
    assert own.status_code == haizen.status_code == 200
    for name in ("x-cost", "x-note"):
        assert own.headers.get_list(name) == haizen.headers.get_list(name) != []
    assert haizen.headers.get_list("content-type") == ["application/json"]
    assert len(haizen.headers.get_list("date")) == 1
    assert own.json().get("predictions") == haizen.json().get("predictions")


def test_headers_of_a_generated_answer(servers: Servers) -> None:
    answer = httpx.post(f"{servers.haizen}/v2/models/iris/generate", json={"x": "headers"}, timeout=60)
    assert (answer.status_code, answer.headers["x-cost"]) == (200, "7")


@pytest.mark.parametrize("path", ["/v1/models/iris:predict", "/v2/models/iris/infer"])
@pytest.mark.parametrize(("word", "named"), [("split-header", "x-cost"), ("named-header", "x cost")])
def test_a_header_that_http_cannot_carry_is_an_error(servers: Servers, path: str, word: str, named: str) -> None:
    haizen = httpx.post(servers.haizen + path, json=v2(word) if "v2" in path else v1(word), timeout=60)
    assert haizen.status_code == 500
    assert haizen.json() == {"error": f"The model's answer has a header that HTTP cannot carry: '{named}'."}


@pytest.mark.parametrize(
    ("word", "status", "says"),
    [
        pytest.param("http", 418, "short and stout", id="HTTPException"),
        pytest.param("value", 500, "bad value", id="any-other"),
    ],
)
def test_errors_that_are_told_in_other_words(servers: Servers, word: str, status: int, says: str) -> None:
    """The body is always `error`, and what the code did not mean for clients is introduced."""
    own, haizen = servers.both("/v1/models/iris:predict", v1(word))
    assert own.status_code == haizen.status_code == status
    assert says in own.text
    assert says in haizen.json()["error"]


HELD = """
import asyncio, os, sys
sys.path.append(os.environ["KSERVE_PACKAGES"])
import kserve

class Held(kserve.Model):
    max_concurrency = 1
    cancelled = 0

    def load(self):
        self.ready = True

    async def predict(self, payload, headers=None):
        try:
            await asyncio.sleep(payload["instances"][0])
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return {"predictions": [self.cancelled]}
"""


def test_a_coroutine_that_nobody_waits_for_is_cancelled(tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text(HELD)
    environment = {"KSERVE_PACKAGES": str(Path(kserve.__file__).parents[1])}
    runtime = RuntimeProcess(
        [*SERVE, "--model_name=held", f"--model_dir={tmp_path}", "--allow_code"], environment, PYTHON
    )
    try:
        runtime.wait_ready()
        path, deadline = f"{runtime.url}/v1/models/held:predict", {"x-envoy-expected-rq-timeout-ms": "2000"}
        assert httpx.post(path, json={"instances": [3600]}, headers=deadline, timeout=60).status_code == 504
        assert httpx.post(path, json={"instances": [0]}, timeout=60).json() == {"predictions": [1]}
        assert "failed" not in runtime.log
    finally:
        runtime.stop()


async def test_metadata_and_id_over_grpc(servers: Servers) -> None:
    tensor = kserve.InferInput("x", [1], "BYTES")
    tensor.set_data_from_numpy(np.array([b"told"], dtype=object))
    request = kserve.InferRequest(model_name="iris", infer_inputs=[tensor], request_id="7")
    client = kserve.InferenceGRPCClient(servers.haizen.removeprefix("http://"))
    answer = await client.infer(request, headers=[("x-tenant", "blue"), ("authorization", "Bearer x")])
    assert answer.outputs[0].as_numpy().tolist() == [b"blue", b"Bearer x", b"7"]


async def test_parameters_of_the_answer_over_grpc(servers: Servers) -> None:
    tensor = kserve.InferInput("x", [1], "BYTES")
    tensor.set_data_from_numpy(np.array([b"parameters"], dtype=object))
    request = kserve.InferRequest(model_name="iris", infer_inputs=[tensor])
    answer = await kserve.InferenceGRPCClient(servers.haizen.removeprefix("http://")).infer(request)
    assert answer.id == "r-1"
    assert answer.parameters["took_ms"].int64_param == 3
    assert answer.parameters["by"].string_param == "rule"
    assert answer.parameters["cached"].bool_param
    assert answer.outputs[0].parameters["unit"].string_param == "points"
