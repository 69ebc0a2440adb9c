"""Two processes on one port: kill one of them, load and unload in both, add up their metrics, drain, fail to start."""

from __future__ import annotations

import json
import os
import signal
import textwrap
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.runtime.conftest import RuntimeProcess, wait_for
from tests.runtime.processes.conftest import BODY, INFER, children, clients, is_running, metric


@pytest.fixture
def two(tmp_path: Path, iris_dir: Path, start_runtime: Callable[..., RuntimeProcess]) -> tuple[RuntimeProcess, Path]:
    file = tmp_path / "iris" / "model.joblib"
    file.parent.mkdir()
    file.write_bytes((iris_dir / "model.joblib").read_bytes())
    runtime = start_runtime(
        "--model_name=iris",
        f"--model_dir={file.parent}",
        "--allow_code",
        "--processes=2",
        "--drain_quiet_seconds=5",
        "--model_control_mode=explicit",
    )
    runtime.wait_ready()
    return runtime, file


def answered(text: str) -> float:
    return metric(text, 'haizen_requests_total{code="200",door="v2",model_name="iris"}')


def test_a_killed_process_costs_only_its_own_connections(two: tuple[RuntimeProcess, Path]) -> None:
    runtime, _ = two
    first = children(runtime)
    assert len(first) == 2
    stop = threading.Event()
    right, wrong, broken = [0] * 8, [], [0] * 8

    def client(number: int) -> None:
        with httpx.Client(base_url=runtime.url, timeout=60) as session:
            while not stop.is_set():
                try:
                    response = session.post(INFER, json=BODY)
                except httpx.TransportError:  # the connection was the killed process's: the next is another's
                    broken[number] += 1
                    continue
                if response.status_code == 200 and response.json()["outputs"][0]["data"] == [0]:
                    right[number] += 1
                else:
                    wrong.append(response.text)

    with ThreadPoolExecutor(8) as pool:
        running = [pool.submit(client, number) for number in range(8)]
        try:
            wait_for(lambda: min(right) > 5, runtime.describe)
            os.kill(first[0], signal.SIGKILL)
            wait_for(lambda: len(set(children(runtime)) - set(first)) == 1, runtime.describe)
            before = list(right)
            wait_for(lambda: all(now > then + 5 for now, then in zip(right, before, strict=True)), runtime.describe)
            assert httpx.get(runtime.url + "/v2/health/ready").status_code == 200
            ready = "haizen_processes"
            wait_for(lambda: metric(httpx.get(runtime.url + "/metrics", timeout=60).text, ready) == 2, runtime.describe)
        finally:
            stop.set()
        for each in running:
            each.result()
    assert wrong == []
    assert 1 <= sum(map(bool, broken)) < 8  # those who were with the killed process, about half of them
    assert max(broken) <= 2  # a second time for whom it was given to while it died
    text = httpx.get(runtime.url + "/metrics", timeout=60).text
    assert metric(text, "haizen_process_restarts_total") == 1
    assert "a serving process ended (killed by SIGKILL)" in runtime.log
    # New connections find the process that came instead, which has none yet.
    with clients(runtime, 8) as sessions:
        pids = set(children(runtime))
        assert len(pids) == 2
        for session in sessions:
            assert session.post(INFER, json=BODY).json()["outputs"][0]["data"] == [0]
            assert session.get("/v2/health/ready").status_code == 200
    assert set(children(runtime)) == pids


def test_metrics_are_those_of_all_processes(two: tuple[RuntimeProcess, Path]) -> None:
    runtime, _ = two
    with clients(runtime, 4) as sessions:
        for session in sessions:
            for _ in range(5):
                assert session.post(INFER, json=BODY).status_code == 200
        for session in sessions:
            # A process that does not tell in time is counted with what it last told.
            wait_for(lambda session=session: answered(session.get("/metrics").text) == 20, runtime.describe)
            text = session.get("/metrics").text
            assert metric(text, 'request_predict_seconds_count{model_name="iris"}') == 20
            assert metric(text, 'haizen_model_ready{model_name="iris",model_version="1"}') == 1
            assert metric(text, "haizen_processes") == 2
            samples = [line.rpartition(" ")[0] for line in text.splitlines() if not line.startswith("#")]
            assert len(samples) == len(set(samples))
        # What an ended process has counted stays counted.
        os.kill(children(runtime)[0], signal.SIGKILL)

        def counted() -> float:
            return answered(httpx.get(runtime.url + "/metrics", timeout=60).text)

        wait_for(lambda: "a serving process ended" in runtime.log, runtime.describe)
        assert counted() == 20
        runtime.wait_ready()
        assert httpx.post(runtime.url + INFER, json=BODY).status_code == 200
        wait_for(lambda: counted() == 21, runtime.describe)


def test_loads_and_unloads_reach_all_processes(two: tuple[RuntimeProcess, Path], iris_data: tuple[Any, Any]) -> None:
    import joblib
    from sklearn.linear_model import LogisticRegression

    runtime, file = two
    features, labels = iris_data
    with clients(runtime, 4) as sessions:

        def answers() -> set[Any]:
            responses = [session.post(INFER, json=BODY) for session in sessions]
            return {each.json()["outputs"][0]["data"][0] if each.is_success else each.status_code for each in responses}

        def change(verb: str) -> httpx.Response:
            return sessions[0].post(f"/v2/repository/models/iris/{verb}")

        assert answers() == {0}
        joblib.dump(LogisticRegression(max_iter=1000).fit(features, labels + 10), file)
        assert change("load").status_code == 200
        assert answers() == {10}
        file.write_bytes(b"garbage")
        refused = change("load")
        assert (refused.status_code, "the former one goes on serving" in refused.text) == (500, True)
        assert answers() == {10}
        assert change("unload").status_code == 200
        assert answers() == {503}
        assert sessions[1].post("/v2/repository/models/rose/load").status_code == 404
        joblib.dump(LogisticRegression(max_iter=1000).fit(features, labels), file)
        assert change("load").status_code == 200
        assert answers() == {0}


def test_drains_without_losing_a_request(two: tuple[RuntimeProcess, Path]) -> None:
    runtime, _ = two
    url = runtime.url
    signalled = threading.Event()
    failures: list[str] = []
    after: list[int] = []

    def client() -> None:
        left = 30
        with httpx.Client(base_url=url, timeout=60) as session:
            while left:
                if signalled.is_set():
                    left -= 1
                try:
                    response = session.post(INFER, json=BODY)
                except httpx.TransportError as error:
                    failures.append(repr(error))
                    return
                if response.status_code != 200:
                    failures.append(response.text)
                if signalled.is_set():
                    after.append(1)

    with ThreadPoolExecutor(4) as pool:
        running = [pool.submit(client) for _ in range(4)]
        httpx.get(url + "/v2/health/ready").raise_for_status()
        runtime.terminate()
        wait_for(lambda: httpx.get(url + "/v2/health/ready").status_code == 503, runtime.describe)
        signalled.set()
        for each in running:
            each.result()
    assert failures == []
    assert len(after) >= 100
    assert runtime.wait_exit() == 0, runtime.log
    assert "Traceback" not in runtime.log


def test_a_second_signal_ends_all_at_once(iris_dir: Path, start_runtime: Callable[..., RuntimeProcess]) -> None:
    runtime = start_runtime(
        "--model_name=iris", f"--model_dir={iris_dir}", "--allow_code", "--processes=2", "--drain_quiet_seconds=600",
        "--drain_timeout_seconds=600",
    )  # fmt: skip
    runtime.wait_ready()
    pids = children(runtime)
    runtime.terminate()
    wait_for(lambda: httpx.get(runtime.url + "/v2/health/ready").status_code == 503, runtime.describe)
    runtime.terminate()
    assert runtime.wait_exit() == 128 + signal.SIGTERM
    wait_for(lambda: not any(is_running(pid) for pid in pids), runtime.describe)


def test_processes_end_with_a_killed_supervisor(two: tuple[RuntimeProcess, Path]) -> None:
    runtime, _ = two
    pids = children(runtime)
    runtime.process.kill()
    wait_for(lambda: not any(is_running(pid) for pid in pids), runtime.describe)


def test_a_process_that_cannot_start_ends_the_start(
    tmp_path: Path, start_runtime: Callable[..., RuntimeProcess]
) -> None:
    log = tmp_path / "termination-log"
    (tmp_path / "models").mkdir()
    (tmp_path / "models/model.joblib").write_bytes(b"garbage")
    runtime = start_runtime(
        f"--model_dir={tmp_path}/models", "--allow_code", "--processes=2", HAIZEN_TERMINATION_LOG=str(log)
    )
    assert runtime.wait_exit() == 3, runtime.log
    (line,) = log.read_text().splitlines()
    written = json.loads(line)
    assert (written["reason"], written["exitCode"]) == ("ModelLoadFailed", 3)
    assert "model.joblib cannot be loaded as sklearn" in written["message"]
    assert len([each for each in runtime.lines if each.startswith("haizen-runtime: ")]) == 1
    assert "Traceback" not in runtime.log


def test_the_download_happens_once(
    tmp_path: Path, iris_dir: Path, start_runtime: Callable[..., RuntimeProcess]
) -> None:
    content = (iris_dir / "model.joblib").read_bytes()
    asked: list[str] = []

    class Store(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.headers["Range"] != "bytes=0-0":  # a look at what is there
                asked.append(self.path)
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Store) as store:
        threading.Thread(target=store.serve_forever, daemon=True).start()
        runtime = start_runtime(
            "--model_name=iris", f"--model_dir={tmp_path / 'models'}", "--allow_code", "--processes=2",
            STORAGE_URI=f"http://127.0.0.1:{store.server_port}/model.joblib",
        )  # fmt: skip
        runtime.wait_ready()
        assert asked == ["/model.joblib"]
        with clients(runtime, 2) as sessions:
            for session in sessions:
                assert session.post(INFER, json=BODY).json()["outputs"][0]["data"] == [0]
        # Who comes later finds it there, whatever has become of the store.
        store.shutdown()
        os.kill(children(runtime)[0], signal.SIGKILL)
        ended = "a serving process ended (killed by SIGKILL)"
        wait_for(lambda: ended in runtime.log and runtime.log.count("is ready (version") == 3, runtime.describe)
        runtime.wait_ready()
        assert asked == ["/model.joblib"]


def test_what_is_accepted_during_the_drain_is_answered(
    tmp_path: Path, start_who: Callable[..., RuntimeProcess]
) -> None:
    """One request takes longer than the quiet time; until it is answered every process takes new connections.

    Also by one that is quiet itself, and whose quiet time is over before the other one has said that it is busy.
    """
    hold = tmp_path / "hold"
    code = f"""
        import os, time

        class Slow:
            def predict(self, inputs):
                while inputs["x"][0] and os.path.exists({str(hold)!r}):
                    time.sleep(0.02)
                return [1]
    """
    runtime = start_who("--drain_quiet_seconds=0.01", "--workers=2", code=textwrap.dedent(code))
    runtime.wait_ready()
    pids = children(runtime)
    hold.touch()

    def send(wait: bool = False) -> int:
        body = {"inputs": [{"name": "x", "shape": [1], "datatype": "BOOL", "data": [wait]}]}
        return httpx.post(runtime.url + INFER, json=body, timeout=60).status_code  # a connection each

    held = 'haizen_requests_in_flight{model_name="iris",model_version="1"}'
    with ThreadPoolExecutor(5) as pool:
        long = pool.submit(send, True)
        wait_for(lambda: metric(httpx.get(runtime.url + "/metrics", timeout=60).text, held) == 1, runtime.describe)
        runtime.terminate()
        wait_for(lambda: httpx.get(runtime.url + "/v2/health/ready").status_code == 503, runtime.describe)
        for _ in range(4):
            time.sleep(0.5)  # clients that ask more rarely than the quiet time
            assert {each.result() for each in [pool.submit(send) for _ in range(4)]} == {200}
        assert children(runtime) == pids
        hold.unlink()
        assert long.result() == 200
    assert runtime.wait_exit() == 0, runtime.log
    assert "Traceback" not in runtime.log
