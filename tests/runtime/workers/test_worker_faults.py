"""What happens to requests, to the server and to the processes when model code crashes, hangs or talks nonsense."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.runtime.conftest import wait_for
from tests.runtime.processes.conftest import children_of

CODE = '''
import ctypes, os, signal, socket, subprocess, sys, time
from pathlib import Path
import numpy as np
from haizen_runtime import Model

class Code(Model):
    def predict(self, inputs):
        (x,) = inputs.values()
        word = x[0].decode() if x.dtype.kind == "O" else ""
        if word == "segfault":
            ctypes.string_at(0)
        if word == "exit":
            os._exit(9)
        if word == "hang":
            time.sleep(3600)
        if word == "hold":  # the interpreter's lock is never let go
            ctypes.PyDLL(None).sleep(3600)
        if word == "child":
            subprocess.Popen(["sleep", "3600"], close_fds=False)
            os._exit(9)
        if word.startswith("gate"):  # until the test opens it
            Path(__file__).with_name(f"{word}-{os.getpid()}").touch()
            while not Path(__file__).with_name(f"{word}-open").exists():
                time.sleep(0.01)
        if word.startswith("garbage"):
            self.speak(word)
        return [os.getpid()]

    def speak(self, word):
        """Say something on the server's socket that is no answer."""
        sock = socket.socket(fileno=os.dup(int(sys.argv[1])))
        if word == "garbage noise":
            sock.sendall(bytes([255]) * 4096)
        elif word == "garbage half":
            sock.sendall(bytes([100, 0, 0, 0, 0, 0, 0, 0, 1]))
        elif word == "garbage unsealed":
            import msgpack
            memory = os.memfd_create("unsealed")
            os.ftruncate(memory, 1 << 20)
            tensors = [["x", "UINT8", [1 << 20], 0, 1 << 20, None]]
            body = msgpack.packb({"op": "answer", "id": 1, "outputs": tensors})
            head = len(body).to_bytes(4, "little") + (1).to_bytes(4, "little")
            socket.send_fds(sock, [head + body], [memory])
            os.ftruncate(memory, 0)
        elif word == "garbage outside":
            import msgpack
            tensors = [["x", "UINT8", [1 << 20], 0, 1 << 20, None]]
            body = msgpack.packb({"op": "answer", "id": 1, "outputs": tensors})
            sock.sendall(len(body).to_bytes(4, "little") + bytes(4) + body)
        elif word == "garbage huge":
            sock.sendall((1 << 31).to_bytes(4, "little") + bytes(4))
        time.sleep(3600)
'''


def say(url: str, word: str) -> httpx.Response:
    body = {"inputs": [{"name": "x", "shape": [1], "datatype": "BYTES", "data": [word]}]}
    return httpx.post(f"{url}/v2/models/code/infer", json=body, timeout=120)


def pid_of(answer: httpx.Response) -> int:
    assert answer.status_code == 200, answer.text
    return int(answer.json()["outputs"][0]["data"][0])


def exists(pid: int) -> bool:
    """Whether the process runs; a zombie has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize(
    ("word", "how"),
    [pytest.param("segfault", "killed by SIGSEGV", id="segfault"), pytest.param("exit", "exit code 9", id="exit")],
)
def test_a_crash_costs_its_own_request(serve_code: Callable[..., Any], word: str, how: str) -> None:
    runtime = serve_code(CODE)
    before = pid_of(say(runtime.url, "hello"))
    answer = say(runtime.url, word)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert how in answer.json()["error"]
    after = pid_of(say(runtime.url, "hello"))
    assert after != before
    assert not exists(before)
    assert httpx.get(f"{runtime.url}/v2/health/ready").status_code == 200


def test_a_kill_from_outside_costs_only_what_that_worker_had(tmp_path: Path, serve_code: Callable[..., Any]) -> None:
    runtime = serve_code(CODE, "--workers=2")
    victim, survivor = children_of(runtime.process.pid)
    with ThreadPoolExecutor(2) as clients:
        held = [clients.submit(say, runtime.url, "gate") for _ in range(2)]
        wait_for(lambda: all((tmp_path / f"gate-{pid}").exists() for pid in (victim, survivor)), runtime.describe)
        os.kill(victim, signal.SIGKILL)
        wait_for(lambda: any(future.done() for future in held))
        (tmp_path / "gate-open").touch()
        answers = sorted((future.result() for future in held), key=lambda answer: answer.status_code)
    assert [answer.status_code for answer in answers] == [200, 503]
    assert pid_of(answers[0]) == survivor
    assert "killed by SIGKILL" in answers[1].json()["error"]


def test_an_idle_worker_that_was_killed_is_replaced_before_anybody_asks(serve_code: Callable[..., Any]) -> None:
    runtime = serve_code(CODE)
    before = pid_of(say(runtime.url, "hello"))
    os.kill(before, signal.SIGKILL)
    wait_for(lambda: children_of(runtime.process.pid) not in ([], [before]), runtime.describe)
    assert [pid_of(say(runtime.url, "hello"))] == children_of(runtime.process.pid)


@pytest.mark.parametrize("word", ["hang", "hold"])
def test_a_hang_is_ended_and_replaced(serve_code: Callable[..., Any], word: str) -> None:
    runtime = serve_code(CODE, "--worker_timeout_seconds=5")  # in which the others have to be answered
    before = pid_of(say(runtime.url, "hello"))
    answer = say(runtime.url, word)
    assert answer.status_code == 504
    assert "did not answer within 5 s" in answer.json()["error"]
    assert pid_of(say(runtime.url, "hello")) != before
    wait_for(lambda: not exists(before))
    assert httpx.get(f"{runtime.url}/v2/health/live").status_code == 200


@pytest.mark.parametrize(
    ("kind", "status"), [("noise", 503), ("half", 504), ("unsealed", 503), ("outside", 503), ("huge", 503)]
)
def test_nonsense_from_a_worker_ends_that_worker_only(serve_code: Callable[..., Any], kind: str, status: int) -> None:
    runtime = serve_code(CODE, "--worker_timeout_seconds=10")
    answer = say(runtime.url, f"garbage {kind}")
    assert answer.status_code == status, answer.text
    assert pid_of(say(runtime.url, "hello"))
    assert "Traceback" not in runtime.log


def test_children_of_model_code_end_with_the_worker(serve_code: Callable[..., Any]) -> None:
    runtime = serve_code(CODE)
    before = pid_of(say(runtime.url, "hello"))
    assert say(runtime.url, "child").status_code == 503  # though the child holds the socket open
    assert pid_of(say(runtime.url, "hello"))
    wait_for(lambda: not any(exists(pid) for pid in group_of(before)))


def group_of(leader: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if os.getpgid(int(entry.name)) == leader:
                    found.append(int(entry.name))
            except ProcessLookupError:
                continue
    return found


def test_a_crash_loop_is_not_ready_and_says_why(tmp_path: Path, serve_code: Callable[..., Any]) -> None:
    broken = tmp_path / "broken"
    runtime = serve_code(
        f"""
        import os

        class Code:
            def load(self):
                if os.path.exists({str(broken)!r}):
                    raise RuntimeError("the licence server is down")

            def predict(self, inputs):
                return [os.getpid()]
        """
    )
    broken.touch()
    os.kill(pid_of(say(runtime.url, "hello")), signal.SIGKILL)
    wait_for(lambda: httpx.get(f"{runtime.url}/v2/health/ready").status_code == 503)
    answer = say(runtime.url, "hello")
    assert answer.status_code == 503
    assert re.search(r"ended \d+ times in a row, last: model.py, line 7: RuntimeError: the licence", answer.text)
    assert httpx.get(f"{runtime.url}/v2/health/live").status_code == 200
    broken.unlink()
    wait_for(lambda: httpx.get(f"{runtime.url}/v2/health/ready").status_code == 200)
    assert pid_of(say(runtime.url, "hello"))


@pytest.mark.parametrize("word", ["hello", "hang", "hold"])
def test_no_worker_outlives_a_killed_server(serve_code: Callable[..., Any], word: str) -> None:
    runtime = serve_code(CODE, "--workers=2")
    workers = children_of(runtime.process.pid)
    assert len(workers) == 2
    with ThreadPoolExecutor(1) as client:
        future = client.submit(say, runtime.url, word)
        if word == "hello":
            future.result()
        else:
            wait_for(lambda: 'haizen_requests_in_flight{model_name="code",model_version="1"} 1.0'
                     in httpx.get(f"{runtime.url}/metrics").text)  # fmt: skip
            time.sleep(0.3)  # it is in the worker by now; if not, the test still holds
        runtime.process.kill()
        runtime.process.wait()
        wait_for(lambda: not any(exists(pid) for pid in workers))
        if word != "hello":
            with pytest.raises(httpx.TransportError):
                future.result()


def test_a_drain_answers_what_was_taken(tmp_path: Path, serve_code: Callable[..., Any]) -> None:
    runtime = serve_code(CODE, "--drain_quiet_seconds=0.2")
    workers = children_of(runtime.process.pid)
    with ThreadPoolExecutor(4) as clients:
        held = [clients.submit(say, runtime.url, "gate") for _ in range(4)]
        wait_for(lambda: 'haizen_requests_in_flight{model_name="code",model_version="1"} 4.0'
                 in httpx.get(f"{runtime.url}/metrics").text)  # fmt: skip
        for pid in (runtime.process.pid, *workers):  # as when a whole container is told to end
            os.kill(pid, signal.SIGTERM)
        wait_for(lambda: "draining" in runtime.log, runtime.describe)
        (tmp_path / "gate-open").touch()
        assert [future.result().status_code for future in held] == [200] * 4
    assert runtime.wait_exit() == 0, runtime.log
    wait_for(lambda: not any(exists(pid) for pid in workers))


def test_unloading_ends_the_workers_and_loading_brings_new_ones(tmp_path: Path, serve_code: Callable[..., Any]) -> None:
    stopped = tmp_path / "stopped"
    runtime = serve_code(
        f"""
        import os
        from pathlib import Path
        from haizen_runtime import Model

        class Code(Model):
            def predict(self, inputs):
                return [os.getpid()]

            async def stop(self):
                Path({str(stopped)!r}).touch()
        """,
        "--model_control_mode=explicit",
    )
    before = pid_of(say(runtime.url, "hello"))
    assert httpx.post(f"{runtime.url}/v2/repository/models/code/unload", timeout=60).status_code == 200
    wait_for(lambda: not exists(before))
    assert stopped.exists()
    assert httpx.post(f"{runtime.url}/v2/repository/models/code/load", timeout=60).status_code == 200
    assert pid_of(say(runtime.url, "hello")) != before


def test_shared_memory_is_given_back(serve_code: Callable[..., Any]) -> None:
    runtime = serve_code("class Code:\n  def predict(self, inputs):\n    return inputs['x']\n", "--workers=2")
    body = {"inputs": [{"name": "x", "shape": [20_000], "datatype": "INT64", "data": list(range(20_000))}]}

    def send(_: int) -> bool:
        answer = httpx.post(f"{runtime.url}/v2/models/code/infer", json=body, timeout=60)
        return bool(answer.json()["outputs"][0]["data"] == body["inputs"][0]["data"])

    def open_files() -> list[int]:
        return [len(os.listdir(f"/proc/{pid}/fd")) for pid in (runtime.process.pid, *children_of(runtime.process.pid))]

    with ThreadPoolExecutor(4) as clients:
        assert all(clients.map(send, range(8)))
        assert all(clients.map(send, range(100)))
    # Connections that were just closed may still be counted for a moment.
    wait_for(lambda: max(open_files()) < 60)
    mapped = Path(f"/proc/{runtime.process.pid}/maps").read_text().count("haizen-tensors")
    assert mapped < 10
