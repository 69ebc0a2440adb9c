"""A call for one answer: cancelled before, while and after the worker works on it."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from haizen_runtime.protocol.errors import ClientGone, DeadlineExceeded, InvalidInput
from haizen_runtime.scheduling.cancellation import Cancellation
from haizen_runtime.workers.calls import AnswerCall
from haizen_runtime.workers.cancelling import Computation
from haizen_runtime.workers.channel import receive, send
from haizen_runtime.workers.limits import WorkerLimits
from haizen_runtime.workers.pool import WorkerPool
from haizen_runtime.workers.tensors import pack
from tests.runtime.conftest import wait_for

CODE = """
import asyncio

class Code:
    async def predict(self, inputs):
        if inputs["seconds"][0]:
            await asyncio.sleep(inputs["seconds"][0])
        return inputs["seconds"]
"""
COUNTING = """
class Code:
    calls = 0

    def predict(self, inputs):
        self.calls += 1
        return [self.calls]
"""
ANSWERED: Any = ({"x": np.zeros(1)}, None)


def make() -> tuple[AnswerCall, list[str]]:
    told: list[str] = []
    return AnswerCall(told.append), told


def test_the_answer_is_what_came() -> None:
    call, told = make()
    call.set_result(ANSWERED)
    assert call.result(1) is ANSWERED
    assert told == []


def test_an_error_is_raised() -> None:
    call, _ = make()
    call.set_exception(InvalidInput("no"))
    with pytest.raises(InvalidInput, match="no"):
        call.result(1)


def test_a_worker_that_says_nothing() -> None:
    call, _ = make()
    with pytest.raises(TimeoutError):
        call.result(0.01)


def test_a_call_is_cancelled_at_its_limit() -> None:
    told: list[str] = []

    def tell(word: str) -> None:
        told.append(word)
        call.set_exception(InvalidInput("cancelled"))

    call = AnswerCall(tell)
    with pytest.raises(DeadlineExceeded, match=r"did not answer within 0\.01 s"):
        call.result(0.01, cancellable=True)
    assert told == ["cancel"]


def test_a_worker_that_does_not_end_what_is_cancelled_at_its_limit() -> None:
    call, told = make()
    with pytest.raises(TimeoutError):
        call.result(0.01, cancellable=True)
    assert told == ["cancel"]


def test_a_call_that_was_cancelled_has_no_second_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0

    def tell(word: str) -> None:
        nonlocal now
        now = 3600.0  # so late was it cancelled

    monkeypatch.setattr("haizen_runtime.workers.calls.monotonic", lambda: now)
    monkeypatch.setattr("haizen_runtime.workers.calls.CANCEL_SECONDS", 0.01)
    call = AnswerCall(tell)
    call.cancel()
    with pytest.raises(TimeoutError):
        call.result(3600)


@pytest.mark.parametrize("ends_by", ["error", "answer"])
def test_cancelling_tells_the_worker_and_waits_for_it(ends_by: str) -> None:
    told: list[str] = []
    heard = threading.Event()

    def tell(word: str) -> None:
        told.append(word)
        heard.set()

    call, ends = AnswerCall(tell), []

    def take() -> None:
        try:
            ends.append(call.result(60))
        except ClientGone as error:
            ends.append(error)

    taker = threading.Thread(target=take)
    taker.start()
    call.cancel()
    call.cancel()
    assert heard.wait(60)
    assert ends == []
    if ends_by == "error":
        call.set_exception(InvalidInput("cancelled"))
    else:
        call.set_result(ANSWERED)  # the code went on nevertheless
    taker.join()
    assert told == ["cancel"]
    assert isinstance(ends[0], ClientGone) if ends_by == "error" else ends == [ANSWERED]


async def test_what_was_cancelled_before_it_began_does_not_begin() -> None:
    begun: list[bool] = []

    async def work() -> None:
        begun.append(True)

    computation = Computation()
    computation.cancel()
    with pytest.raises(asyncio.CancelledError):
        await computation.run(work())
    assert begun == []


class Talk:
    """A worker process, and its socket."""

    def __init__(self, path: Path) -> None:
        path.write_text(CODE)
        self.socket, theirs = socket.socketpair()
        self.socket.settimeout(60)
        with theirs:
            command = [
                sys.executable,
                "-P",
                "-m",
                "haizen_runtime.workers.main",
                str(theirs.fileno()),
                str(os.getpid()),
            ]
            self.process = subprocess.Popen(
                command, pass_fds=[theirs.fileno()], stderr=subprocess.PIPE, start_new_session=True
            )
        send(self.socket, {"op": "load", "path": str(path), "name": "code", "log_level": "INFO", "log_format": "text",
                           "traced": False, "limits": {}})  # fmt: skip
        assert self.hear()["op"] == "loaded"

    def hear(self) -> dict[str, Any]:
        received = receive(self.socket)
        assert received is not None
        return received[0]

    def infer(self, number: int, seconds: float) -> None:
        tensors, _ = pack({"seconds": np.array([seconds])})
        send(self.socket, {"op": "infer", "id": number, "inputs": tensors, "outputs": None})

    def cancel(self, number: int) -> None:
        send(self.socket, {"op": "cancel", "id": number})

    def stop(self) -> None:
        send(self.socket, {"op": "stop"})

    def log(self) -> str:
        """What it has logged, once it has ended by itself."""
        _, logged = self.process.communicate(timeout=60)
        assert self.process.returncode == 0, logged
        return logged.decode()


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Talk]:
    talk = Talk(tmp_path / "model.py")
    yield talk
    talk.socket.close()
    if talk.process.poll() is None:
        talk.process.kill()
        talk.process.communicate()


def test_a_worker_ends_each_call_once_whatever_crosses(worker: Talk) -> None:
    worker.cancel(77)  # nothing of this number ever was
    for number in range(1, 200, 2):
        worker.infer(number, 3600)
        worker.cancel(number)
        worker.infer(number + 1, 0)
        worker.cancel(number + 1)  # which may have been answered by now
    heard = [worker.hear() for _ in range(200)]
    assert sorted(message["id"] for message in heard) == list(range(1, 201))
    ends = {message["id"]: message["op"] for message in heard}
    assert {ends[number] for number in range(1, 200, 2)} == {"error"}
    worker.infer(201, 0)
    assert worker.hear()["op"] == "answer"
    worker.stop()
    assert worker.log() == ""


def test_a_worker_is_not_asked_for_what_nobody_waits_for(tmp_path: Path) -> None:
    path = tmp_path / "model.py"
    path.write_text(COUNTING)
    pool = WorkerPool(path, "code", 1, 60, WorkerLimits())
    pool.start()
    try:
        cancellation = Cancellation()
        cancellation.cancel()
        for _ in range(20):
            with pytest.raises(ClientGone, match="Nobody waits"):
                cancellation.run(lambda _: [pool.call({}, None)], [])
        assert pool.call({}, None)["output-0"].tolist() == [1]
    finally:
        pool.close()
        wait_for(lambda: pool.usage() == [])


def test_a_worker_that_stops_can_still_be_told_to_cancel(worker: Talk) -> None:
    worker.infer(1, 3600)
    worker.stop()
    worker.cancel(1)
    assert worker.hear()["op"] == "error"
    assert worker.log() == ""
