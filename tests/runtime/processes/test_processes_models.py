"""Models in several processes: all of them load, unload and look for new files; Python code has workers in each."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx

from tests.runtime.conftest import RuntimeProcess, wait_for
from tests.runtime.doors.grpc.conftest import PB, SERVICE, Client, target_of
from tests.runtime.processes.conftest import (
    BODY,
    INFER,
    WHO,
    answer,
    children,
    children_of,
    clients,
    is_running,
    metric,
)

EXPLICIT = "--model_control_mode=explicit"
MANY = """
import asyncio, os

class Many:
    async def predict(self, inputs, parameters):
        for number in range(parameters.get("count", 3)):
            await asyncio.sleep(0.05)
            yield {"number": [number], "process": [os.getppid()]}

    def get_input_types(self):
        return [{"name": "x", "datatype": "FP64", "shape": [1]}]
"""


def numbered(number: int, more: str = "") -> str:
    """Code of a model that answers its number and who asked it."""
    return f"{more}\n{WHO}".replace('"worker": [os.getpid()]', f'"number": [{number}]')


def states(sessions: list[httpx.Client]) -> set[str]:
    """What the repository index of each process says."""
    indexes = [session.post("/v2/repository/index").json() for session in sessions]
    return {model["state"] for index in indexes for model in index}


def test_a_process_that_comes_later_has_nothing_loaded_that_was_unloaded(
    start_who: Callable[..., RuntimeProcess],
) -> None:
    runtime = start_who(EXPLICIT)
    runtime.wait_ready()
    with clients(runtime, 4) as sessions:
        assert {answer(session) for session in sessions} == set(children(runtime))
        assert sessions[0].post("/v2/repository/models/iris/unload").status_code == 200
        assert states(sessions) == {"UNLOADED"}
        killed = children(runtime)[0]
        os.kill(killed, signal.SIGKILL)
    answers: list[Any] = []

    def followed() -> bool:
        """The one that comes loads the model, as at any start, and unloads it before it gets connections."""
        with clients(runtime, 4) as new:
            answers.extend(answer(session) for session in new)
        return runtime.log.count("is ready (version") == 3 and not children_of(children(runtime)[1])

    wait_for(lambda: len(set(children(runtime)) - {killed}) == 2 and followed(), runtime.describe)
    assert set(answers) == {503}
    with clients(runtime, 4) as sessions:
        wait_for(lambda: states(sessions) == {"UNLOADED"}, runtime.describe)
        assert sessions[0].post("/v2/repository/models/iris/load").status_code == 200
        assert states(sessions) == {"READY"}
        assert {answer(session) for session in sessions} == set(children(runtime))


def test_a_process_that_was_starting_loads_what_the_others_have(
    tmp_path: Path, start_who: Callable[..., RuntimeProcess]
) -> None:
    """It had read the former files when the others were told to load the new ones."""
    slow = """
import time
from pathlib import Path

BESIDE = Path(__file__).parents[1]
(BESIDE / "began").touch()
while (BESIDE / "hold").exists():
    time.sleep(0.05)
"""
    runtime = start_who(EXPLICIT, code=numbered(1, slow))
    runtime.wait_ready()
    hold, began, code = tmp_path / "hold", tmp_path / "began", tmp_path / "model/model.py"
    hold.touch()
    began.unlink()
    os.kill(children(runtime)[0], signal.SIGKILL)
    wait_for(began.exists, runtime.describe)
    with clients(runtime, 1) as (session,):
        code.write_text(numbered(2))
        assert session.post("/v2/repository/models/iris/load").status_code == 200
        assert answer(session, "number") == 2
        hold.unlink()

        def numbers() -> set[tuple[int, int]]:
            with clients(runtime, 4) as sessions:
                return {(answer(session), answer(session, "number")) for session in sessions}

        wait_for(lambda: len({process for process, _ in numbers()}) == 2, runtime.describe)
        assert {number for _, number in numbers()} == {2}


def test_a_process_that_cannot_follow_is_replaced(tmp_path: Path, start_who: Callable[..., RuntimeProcess]) -> None:
    """As when there is memory for the new model in one process only."""
    only_one = "from pathlib import Path\nPath(__file__).with_name('taken').mkdir()"
    runtime = start_who(EXPLICIT, code=numbered(1))
    runtime.wait_ready()
    first = children(runtime)
    with clients(runtime, 4) as sessions, clients(runtime, 4) as late:
        assert {answer(session) for session in sessions} == set(first)
        (tmp_path / "model/model.py").write_text(numbered(2, only_one))
        refused = sessions[0].post("/v2/repository/models/iris/load")
        assert (refused.status_code, "FileExistsError" in refused.text) == (500, True)
        assert {answer(session, "number") for session in late} == {2}  # who comes now gets the new model
        assert {answer(session, "number") for session in sessions} <= {1, 2}  # what was connected is answered on
    (tmp_path / "model/taken").rmdir()

    def numbers() -> set[tuple[int, int]]:
        with clients(runtime, 4) as sessions:
            return {(answer(session), answer(session, "number")) for session in sessions}

    def replaced() -> bool:
        now = children(runtime)
        return len(now) == 2 and len(set(now) & set(first)) == 1 and {process for process, _ in numbers()} == set(now)

    wait_for(replaced, runtime.describe)
    assert {number for _, number in numbers()} == {2}
    assert "could not load iris and is replaced" in runtime.log


def test_every_process_looks_for_new_files(tmp_path: Path, start_who: Callable[..., RuntimeProcess]) -> None:
    runtime = start_who("--repository_poll_seconds=0.1", code=numbered(1))
    runtime.wait_ready()
    with clients(runtime, 4) as sessions:
        assert {answer(session, "number") for session in sessions} == {1}
        (tmp_path / "model/model.py").write_text(numbered(2))
        wait_for(lambda: {answer(session, "number") for session in sessions} == {2}, runtime.describe)
        assert {answer(session) for session in sessions} == set(children(runtime))


def test_each_process_has_workers_of_its_own(start_who: Callable[..., RuntimeProcess]) -> None:
    """They end with it, and count as the memory of all."""
    runtime = start_who("--workers=2")
    runtime.wait_ready()
    first, second = children(runtime)
    workers = {pid: children_of(pid) for pid in (first, second)}
    assert [len(each) for each in workers.values()] == [2, 2]
    with clients(runtime, 4) as sessions:
        pairs = {(answer(session), answer(session, "worker")) for session in sessions for _ in range(10)}
        assert {worker for _, worker in pairs} <= {*workers[first], *workers[second]}
        text = sessions[0].get("/metrics").text
        labels = 'model_name="iris",model_version="1",worker="0"'
        assert metric(text, f"haizen_worker_resident_memory_bytes{{{labels}}}") > 2 * 10_000_000
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: not any(is_running(pid) for pid in workers[first]), runtime.describe)
    assert all(is_running(pid) for pid in workers[second])

    def whole_again() -> bool:
        return sorted(len(children_of(pid)) for pid in children(runtime)) == [2, 2]

    wait_for(whole_again, runtime.describe)
    runtime.terminate()
    assert runtime.wait_exit() == 0, runtime.log
    wait_for(lambda: not any(is_running(pid) for pid in workers[second]), runtime.describe)


def test_streams_of_both_doors(start_who: Callable[..., RuntimeProcess]) -> None:
    runtime = start_who(code=MANY)
    runtime.wait_ready()

    def over_http(session: httpx.Client) -> list[dict[str, int]]:
        body = {"x": 1, "count": 5}
        with session.stream("POST", "/v2/models/iris/generate_stream", json=body) as response:
            return [json.loads(line[6:]) for line in response.iter_lines() if line.startswith("data: ")]

    def over_grpc(_: int) -> list[dict[str, int]]:
        message = PB.ModelInferRequest(model_name="iris")
        message.inputs.add(name="x", datatype="FP64", shape=[1]).contents.fp64_contents.append(1)
        message.parameters["count"].int64_param = 5
        client = Client(target_of(runtime), ("grpc.use_local_subchannel_pool", 1))
        method = client.channel.stream_stream(
            SERVICE + "ModelStreamInfer", PB.ModelInferRequest.SerializeToString, PB.ModelStreamInferResponse.FromString
        )
        parts = [part.infer_response for part in method(iter([message]), timeout=60)]
        client.channel.close()
        return [{each.name: each.contents.int64_contents[0] for each in part.outputs} for part in parts]

    with clients(runtime, 4) as sessions, ThreadPoolExecutor(8) as pool:
        streams = [*pool.map(over_http, sessions), *pool.map(over_grpc, range(4))]
        assert [[part["number"] for part in parts] for parts in streams] == [[0, 1, 2, 3, 4]] * 8
        assert {len({part["process"] for part in parts}) for parts in streams} == {1}
        for half in (streams[:4], streams[4:]):
            assert {part["process"] for parts in half for part in parts} == set(children(runtime))


def test_events(iris_dir: Path, start_runtime: Callable[..., RuntimeProcess]) -> None:
    runtime = start_runtime("--model_name=iris", f"--model_dir={iris_dir}", "--allow_code", "--processes=2",
                            CE_MERGE="true", CE_TYPE="com.example.answer")  # fmt: skip
    runtime.wait_ready()
    event = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "s", "ce-type": "t", "ce-tenant": "a"}
    with clients(runtime, 4, headers=event) as sessions:
        responses = [session.post(INFER, json=BODY) for session in sessions]
    found = [(each.status_code, each.headers["ce-type"], each.headers["ce-tenant"]) for each in responses]
    assert found == [(200, "com.example.answer", "a")] * 4
    assert len({each.headers["ce-id"] for each in responses}) == 4
