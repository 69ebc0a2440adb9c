"""Lines about requests of real processes: which, with what in them, and none as shipped."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.runtime.conftest import RuntimeProcess, wait_for
from tests.runtime.doors.grpc.conftest import PB, Client, target_of

BODY = {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP64", "data": [5.1, 3.5, 1.4, 0.2]}]}
PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
def start_iris(iris_dir: Path, start_runtime: Callable[..., RuntimeProcess]) -> Callable[..., RuntimeProcess]:
    def start(*arguments: str) -> RuntimeProcess:
        runtime = start_runtime("--model_name=iris", f"--model_dir={iris_dir}", "--allow_code", *arguments)
        runtime.wait_ready()
        return runtime

    return start


def send(runtime: RuntimeProcess) -> httpx.Response:
    """Requests that are answered well and badly; returns the last one's answer, whose line is the last one, too."""
    client = Client(target_of(runtime))
    client.call("ModelReady", PB.ModelReadyRequest(name="iris"), metadata=[("x-request-id", "grpc-good")])
    answer = client.channel.unary_unary("/inference.GRPCInferenceService/ModelReady").with_call
    with pytest.raises(Exception, match="NOT_FOUND"):
        answer(PB.ModelReadyRequest(name="rose").SerializeToString(), metadata=[("x-request-id", "grpc-bad")])
    client.channel.close()
    with httpx.Client(base_url=runtime.url) as session:
        session.post("/v2/models/iris/infer?secret=s3cr3t", json=BODY, headers={"x-request-id": "good"})
        session.post("/v2/models/a%0Ab/infer", json=BODY, headers={"x-request-id": "bad", "traceparent": PARENT})
        return session.get("/v9")


def lines_of(runtime: RuntimeProcess) -> list[dict[str, Any]]:
    return [each for each in map(json.loads, runtime.lines) if each["logger"] == "haizen_runtime.access"]


def test_all_requests_as_json(start_iris: Callable[..., RuntimeProcess]) -> None:
    runtime = start_iris("--access_log=all", "--log_format=json")
    made = send(runtime).headers["x-request-id"]
    assert len(made) == 32
    wait_for(lambda: made in runtime.log, runtime.describe)
    lines = {each["request_id"]: each for each in lines_of(runtime)}
    for line in lines.values():
        assert line.pop("duration_seconds") >= 0
        assert line.pop("time").endswith("Z")
    common = {"logger": "haizen_runtime.access", "message": "request"}
    ready = "/inference.GRPCInferenceService/ModelReady"
    assert {name: lines[name] for name in ("good", "bad", "grpc-good", "grpc-bad", made)} == {
        "good": {**common, "severity": "INFO", "method": "POST", "path": "/v2/models/iris/infer", "status": 200,
                 "request_id": "good"},
        "bad": {**common, "severity": "WARNING", "method": "POST", "path": "/v2/models/a%0Ab/infer", "status": 404,
                "request_id": "bad", "trace_id": PARENT.split("-")[1]},
        "grpc-good": {**common, "severity": "INFO", "method": "POST", "path": ready, "status": 200, "grpc_status": 0,
                      "request_id": "grpc-good"},
        "grpc-bad": {**common, "severity": "WARNING", "method": "POST", "path": ready, "status": 200,
                     "grpc_status": 5, "request_id": "grpc-bad"},
        made: {**common, "severity": "WARNING", "method": "GET", "path": "/v9", "status": 404, "request_id": made},
    }  # fmt: skip
    assert "s3cr3t" not in runtime.log


def test_an_id_past_the_limit_is_replaced(start_iris: Callable[..., RuntimeProcess]) -> None:
    runtime = start_iris("--access_log=all", "--log_format=json", "--max_request_id_bytes=40")
    with httpx.Client(base_url=runtime.url) as session:
        ids = [
            session.get("/v9", headers={"x-request-id": "i" * length}).headers["x-request-id"] for length in (40, 41)
        ]
    assert [len(each) for each in ids] == [40, 32]
    wait_for(lambda: ids[1] in runtime.log, runtime.describe)
    assert {each["request_id"] for each in lines_of(runtime)} >= set(ids)
    assert "i" * 41 not in runtime.log


def test_only_errors_as_text(start_iris: Callable[..., RuntimeProcess]) -> None:
    runtime = start_iris("--access_log=errors")
    made = send(runtime).headers["x-request-id"]
    wait_for(lambda: made in runtime.log, runtime.describe)
    assert " WARNING request method=GET path=/v9 status=404 duration_seconds=" in runtime.log
    assert "request_id=bad" in runtime.log
    assert "request_id=grpc-bad" in runtime.log
    assert "good" not in runtime.log


def test_none_as_shipped(start_iris: Callable[..., RuntimeProcess]) -> None:
    runtime = start_iris()
    assert "x-request-id" not in send(runtime).headers
    runtime.terminate()
    assert runtime.wait_exit() == 0
    assert not any(word in runtime.log for word in ("request ", "good", "bad", "/v9"))


def test_every_line_of_a_start_that_fails_is_json_but_the_last(
    tmp_path: Path, start_runtime: Callable[..., RuntimeProcess]
) -> None:
    (tmp_path / "model.joblib").write_bytes(b"garbage")
    runtime = start_runtime(f"--model_dir={tmp_path}", "--allow_code", "--log_format=json", "--max_threads=2")
    assert runtime.wait_exit() == 3
    *lines, last = runtime.lines
    assert last.startswith("haizen-runtime: ModelLoadFailed: ")
    assert json.loads(lines[0])["severity"] == "WARNING"  # about an argument of KServe's
    assert all(json.loads(line) for line in lines)
