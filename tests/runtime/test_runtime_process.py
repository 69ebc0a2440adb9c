"""The life of a process: start, readiness, fatal errors, drain and end."""

from __future__ import annotations

import json
import pickle
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

BODY = {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP64", "data": [5.1, 3.5, 1.4, 0.2]}]}


class Slow:
    """Its pickle sleeps when it is loaded."""

    def __reduce__(self) -> tuple[Any, ...]:
        return time.sleep, (3600,)


@pytest.mark.parametrize(
    ("content", "arguments", "exit_code", "reason", "says"),
    [
        pytest.param(b"garbage", ["--allow_code"], 3, "ModelLoadFailed", "model.joblib cannot be loaded as sklearn",
                     id="corrupt"),
        pytest.param(None, ["--allow_code"], 3, "ModelLoadFailed", "No model file in", id="no-file"),
        pytest.param(b"garbage", [], 5, "UntrustedFormat", "--allow_code", id="untrusted"),
        pytest.param(b"garbage", ["--alow-code"], 2, "InvalidConfiguration", "did you mean --allow_code?", id="typo"),
        pytest.param(b"garbage", ["--http_port=http"], 2, "InvalidConfiguration", "must be a whole number", id="port"),
        pytest.param(b"garbage", ["--model_format=fortran"], 2, "InvalidConfiguration", "known formats: sklearn",
                     id="format"),
        pytest.param(b"garbage", ["--storage_uri=file:///no/such/model"], 4, "ModelDownloadFailed", "/no/such/model",
                     id="download"),
        pytest.param(b"garbage", ["--storage_uri=ftp://host/model"], 2, "InvalidConfiguration", "ftp", id="scheme"),
    ],
)  # fmt: skip
def test_a_fatal_start_says_why(
    tmp_path: Path, start_runtime: Callable[..., Any], content: bytes | None, arguments: list[str], exit_code: int,
    reason: str, says: str,
) -> None:  # fmt: skip
    log = tmp_path / "termination-log"
    models = tmp_path / "models"
    models.mkdir()
    if content is not None:
        (models / "model.joblib").write_bytes(content)
    runtime = start_runtime(f"--model_dir={models}", *arguments, HAIZEN_TERMINATION_LOG=str(log))
    assert runtime.wait_exit() == exit_code, runtime.log
    (line,) = log.read_text().splitlines()
    written = json.loads(line)
    assert (written["reason"], written["exitCode"]) == (reason, exit_code)
    assert says in written["message"]
    errors = [each for each in runtime.lines if each.startswith("haizen-runtime: ")]
    assert len(errors) == 1
    assert "Traceback" not in runtime.log


def test_is_alive_before_it_is_ready(tmp_path: Path, start_runtime: Callable[..., Any]) -> None:
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(Slow()))
    runtime = start_runtime("--model_name=slow", f"--model_dir={tmp_path}", "--allow_code", "--load_wait_seconds=0")
    assert httpx.get(runtime.url + "/v2/health/live").status_code == 200
    ready = httpx.get(runtime.url + "/v2/health/ready")
    assert (ready.status_code, ready.json()) == (503, {"ready": False})
    infer = httpx.post(runtime.url + "/v2/models/slow/infer", json=BODY)
    assert infer.status_code == 503
    assert infer.headers["retry-after"] == "1"
    assert "not ready (loading)" in infer.json()["error"]


def test_downloads_and_serves_a_storage_uri(tmp_path: Path, iris_dir: Path, start_runtime: Callable[..., Any]) -> None:
    runtime = start_runtime(
        "--model_name=iris", f"--model_dir={tmp_path}", "--allow_code", STORAGE_URI=f"file://{iris_dir}"
    )
    runtime.wait_ready()
    answer = httpx.post(runtime.url + "/v2/models/iris/infer", json=BODY).json()
    assert answer["outputs"][0]["data"] == [0]


def test_a_storage_uri_may_be_where_the_model_is_already(iris_dir: Path, start_runtime: Callable[..., Any]) -> None:
    before = sorted(path.name for path in iris_dir.iterdir())
    runtime = start_runtime(
        "--model_name=iris", f"--model_dir={iris_dir}", "--allow_code", STORAGE_URI=str(iris_dir),
        HAIZEN_STORAGE_URIS=json.dumps([{"uri": f"file://{iris_dir}/.", "mountPath": f"{iris_dir}/"}]),
    )  # fmt: skip
    runtime.wait_ready()
    assert sorted(path.name for path in iris_dir.iterdir()) == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_drains_under_load_without_losing_a_request(
    iris_dir: Path, start_runtime: Callable[..., Any], number: signal.Signals
) -> None:
    runtime = start_runtime("--model_name=iris", f"--model_dir={iris_dir}", "--allow_code", "--drain_quiet_seconds=5")
    runtime.wait_ready()
    url = runtime.url
    signalled = threading.Event()
    failures: list[str] = []
    answered_after: list[int] = []

    def client() -> None:
        """A client as queue-proxy is one: goes on for a moment after the signal, then stops for good."""
        left = 40
        with httpx.Client(timeout=30) as session:
            while left:
                if signalled.is_set():
                    left -= 1
                try:
                    response = session.post(url + "/v2/models/iris/infer", json=BODY)
                except httpx.TransportError as error:
                    failures.append(repr(error))
                    return
                if response.status_code != 200 or response.json()["outputs"][0]["data"] != [0]:
                    failures.append(response.text)
                if signalled.is_set():
                    answered_after.append(1)

    clients = [threading.Thread(target=client) for _ in range(4)]
    for each in clients:
        each.start()
    httpx.get(url + "/v2/health/ready").raise_for_status()
    runtime.process.send_signal(number)
    if number is signal.SIGTERM:
        while httpx.get(url + "/v2/health/ready").status_code != 503:
            pass
        signalled.set()
        for each in clients:
            each.join()
        assert failures == []
        assert len(answered_after) >= 150
    else:
        signalled.set()
        for each in clients:
            each.join()
    assert runtime.wait_exit() == 0, runtime.log
    assert "Traceback" not in runtime.log


def test_a_second_signal_ends_at_once(iris_dir: Path, start_runtime: Callable[..., Any]) -> None:
    runtime = start_runtime(
        "--model_name=iris", f"--model_dir={iris_dir}", "--allow_code", "--drain_quiet_seconds=600",
        "--drain_timeout_seconds=600",
    )  # fmt: skip
    runtime.wait_ready()
    runtime.terminate()
    while httpx.get(runtime.url + "/v2/health/ready").status_code != 503:
        pass
    runtime.terminate()
    assert runtime.wait_exit() == 128 + signal.SIGTERM


def test_a_port_in_use_is_told(iris_dir: Path, start_runtime: Callable[..., Any]) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        runtime = start_runtime(f"--model_dir={iris_dir}", f"--http_port={port}")
        assert runtime.wait_exit() == 2
    assert f"Cannot listen on 127.0.0.1:{port}" in runtime.log
