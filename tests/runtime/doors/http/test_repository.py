"""The model repository extension over REST: index, unloading that answers what was taken, loading again."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.runtime.conftest import RuntimeProcess
from tests.runtime.doors.grpc.conftest import PROGRAM

BODY = {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP64", "data": [5.1, 3.5, 1.4, 0.2]}]}


@pytest.fixture
def two(iris_dir: Path, tmp_path: Path, start_program: Callable[..., RuntimeProcess]) -> RuntimeProcess:
    for name in ("iris", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.joblib").write_bytes((iris_dir / "model.joblib").read_bytes())
    runtime = start_program(
        "-c", PROGRAM, str(tmp_path), "--host=127.0.0.1", "--http_port=0", "--model_control_mode=explicit"
    )
    runtime.wait_ready()
    return runtime


def line(name: str, state: str = "READY", reason: str = "") -> dict[str, str]:
    return {"name": name, "version": "1", "state": state, "reason": reason}


def test_the_life_of_a_model(two: RuntimeProcess, tmp_path: Path) -> None:
    with httpx.Client(base_url=two.url, timeout=60) as client:

        def post(path: str, body: Any = None) -> tuple[int, Any]:
            response = (
                client.post(f"/v2/repository/{path}", json=body) if body else client.post(f"/v2/repository/{path}")
            )
            return response.status_code, response.json()

        assert post("index") == (200, [line("iris"), line("other")])
        assert post("models/iris/unload", {"parameters": {"unload_dependents": False}}) == (
            200, {"name": "iris", "unload": True},
        )  # fmt: skip
        assert post("models/iris/unload") == (200, {"name": "iris", "unload": True})  # once more changes nothing
        assert post("index") == (200, [line("iris", "UNLOADED", "unloaded"), line("other")])
        assert post("index", {"ready": True}) == (200, [line("other")])
        ready = client.get("/v2/models/iris/ready")
        assert (ready.status_code, ready.json()) == (503, {"name": "iris", "ready": False})
        for path, body in (("/v2/models/iris/infer", BODY), ("/v1/models/iris:predict", {"instances": [[1, 2, 3, 4]]})):
            refused = client.post(path, json=body)
            assert (refused.status_code, refused.json()) == (503, {"error": "Model iris is not ready (unloaded)."})
        assert client.post("/v2/models/other/infer", json=BODY).json()["outputs"][0]["data"] == [0]
        assert client.get("/v2/health/ready").json() == {"ready": True}

        file = tmp_path / "iris" / "model.joblib"
        good = file.read_bytes()
        file.write_bytes(b"garbage")
        status, answer = post("models/iris/load")
        assert (status, "model.joblib cannot be loaded as sklearn" in answer["error"]) == (503, True)
        (failed, _) = post("index")[1]
        assert (failed["state"], failed["reason"].split(":")[0]) == (
            "FAILED",
            "model.joblib cannot be loaded as sklearn",
        )
        file.write_bytes(good)
        assert post("models/iris/load", {}) == (200, {"name": "iris", "load": True})
        assert post("models/iris/load") == (200, {"name": "iris", "load": True})
        assert post("index") == (200, [line("iris"), line("other")])
        assert client.post("/v2/models/iris/infer", json=BODY).json()["outputs"][0]["data"] == [0]


@pytest.mark.parametrize(
    ("path", "body", "status", "says"),
    [
        pytest.param("rose/load", None, 404, "rose does not exist", id="load-unknown"),
        pytest.param("rose/unload", None, 404, "rose does not exist", id="unload-unknown"),
        pytest.param("iris/load", b'{"parameters": {"config": "{}"}}', 400, "config is not", id="config"),
        pytest.param("iris/load", b'{"parameters": [1]}', 400, "not supported", id="parameters"),
    ],
)
def test_bad_changes(two: RuntimeProcess, path: str, body: bytes | None, status: int, says: str) -> None:
    response = httpx.post(f"{two.url}/v2/repository/models/{path}", content=body)
    assert response.status_code == status
    assert says in response.json()["error"]


def test_what_was_taken_is_answered(two: RuntimeProcess) -> None:
    with ThreadPoolExecutor(9) as pool, httpx.Client(base_url=two.url, timeout=60) as client:
        answers = [pool.submit(client.post, "/v2/models/iris/infer", json=BODY) for _ in range(200)]
        for _ in range(3):
            assert client.post("/v2/repository/models/iris/unload").status_code == 200
            assert client.post("/v2/repository/models/iris/load").status_code == 200
        statuses = {answer.result().status_code for answer in answers}
        assert statuses <= {200, 503}
        right = [answer.result() for answer in answers if answer.result().status_code == 200]
        assert all(answer.json()["outputs"][0]["data"] == [0] for answer in right)
        assert client.post("/v2/models/iris/infer", json=BODY).status_code == 200
    assert "Traceback" not in two.log


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "says"),
    [
        pytest.param("POST", "models/iris/load", None, 403, "--model_control_mode=explicit", id="load"),
        pytest.param("POST", "models/iris/unload", None, 403, "--model_control_mode=explicit", id="unload"),
        pytest.param("POST", "index", b'{"ready": 1}', 400, "expected a boolean", id="ready"),
        pytest.param("POST", "index", b"[]", 400, "JSON object", id="list"),
        pytest.param("POST", "models/iris/start", None, 404, "No such path", id="verb"),
        pytest.param("POST", "models//load", None, 404, "No such path", id="no-name"),
        pytest.param("GET", "index", None, 405, "use POST", id="get"),
    ],
)
def test_bad_requests(iris_runtime: Any, method: str, path: str, body: bytes | None, status: int, says: str) -> None:
    response = httpx.request(method, f"{iris_runtime.url}/v2/repository/{path}", content=body)
    assert response.status_code == status
    assert says in response.json()["error"]
