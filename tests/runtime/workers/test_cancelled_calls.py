"""Model code whose answer nobody waits for any more: coroutines are ended, the next call has its turn at once."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import pytest

from tests.runtime.conftest import SERVE, RuntimeProcess, wait_for
from tests.runtime.doors.grpc.conftest import PB, SERVICE, Client, infer_request, target_of
from tests.runtime.doors.grpc.test_grpc_wire import Wire
from tests.runtime.workers.conftest import infer

CODE = """
import asyncio, time
from pathlib import Path
from haizen_runtime import Model

HERE = Path(__file__).parent

class Code(Model):
    max_concurrency = 1

    running = most = 0

    async def predict(self, inputs):
        (x,) = inputs.values()
        word = x.ravel()[0].decode()
        begun, end, gate = (HERE / f"{word}.{what}" for what in ("begun", "end", "open"))
        self.running += 1
        self.most = max(self.most, self.running)
        begun.write_text(str(len(x)))
        try:
            while not gate.exists() and not word.startswith("next"):
                await asyncio.sleep(0.01)
            end.write_text("answered")
        except asyncio.CancelledError as error:
            end.write_text("cancelled")
            if word.startswith("stubborn"):
                while not gate.exists():
                    await asyncio.sleep(0.01)
            elif word.startswith("failing"):
                raise RuntimeError("the cleanup fails")
            else:
                raise
        finally:
            self.running -= 1
        return {"word": x, "most": [self.most] * len(x)}

    async def explain(self, inputs):
        return {"explained": len((await self.predict(inputs))["most"])}
"""
INFER = "/v2/models/code/infer"
TIMEOUT = "x-envoy-expected-rq-timeout-ms"
LIMIT_SECONDS = 8.0
"""Long enough that the call has begun by then."""


class Served:
    """A runtime with the code above, and the notes that it makes."""

    def __init__(self, folder: Path, code: str = CODE, *arguments: str) -> None:
        self.folder = folder
        (folder / "model.py").write_text(code)
        self.runtime = RuntimeProcess(
            [*SERVE, "--model_name=code", f"--model_dir={folder}", "--allow_code", *arguments], {}
        )
        self.runtime.wait_ready()
        self.url = self.runtime.url

    def note(self, word: str, what: str) -> str:
        path = self.folder / f"{word}.{what}"
        return path.read_text() if path.exists() else ""

    def wait_begun(self, word: str) -> None:
        wait_for(lambda: bool(self.note(word, "begun")), self.runtime.describe)

    def wait_end(self, word: str, how: str) -> None:
        wait_for(lambda: self.note(word, "end") == how, self.runtime.describe)

    def open(self, word: str) -> None:
        (self.folder / f"{word}.open").touch()

    def count(self, metric: str) -> int:
        found = re.search(rf"^{re.escape(metric)} (\d+)", httpx.get(f"{self.url}/metrics", timeout=60).text, re.M)
        return int(found[1]) if found else 0

    def wait_queued(self, count: int) -> None:
        wait_for(lambda: self.count('haizen_requests_queued{model_name="code",model_version="1"}') == count)

    def dropped(self, why: str) -> int:
        return self.count(f'haizen_requests_dropped_total{{model_name="code",reason="{why}"}}')

    def ask(self, word: str, **more: Any) -> httpx.Response:
        return infer(self.url, [word], "BYTES", **more)

    def assert_next_is_answered(self, word: str) -> None:
        answer = self.ask(f"next {word}")
        assert answer.status_code == 200, answer.text
        outputs = {output["name"]: output["data"] for output in answer.json()["outputs"]}
        assert outputs == {"word": [f"next {word}"], "most": [1]}

    def stop(self) -> None:
        self.runtime.stop()
        assert "failed" not in self.runtime.log
        assert "Traceback" not in self.runtime.log


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    served = Served(tmp_path_factory.mktemp("cancelled"))
    yield served
    served.stop()


def body_of(word: str) -> bytes:
    return json.dumps({"inputs": [{"name": "x", "shape": [1], "datatype": "BYTES", "data": [word]}]}).encode()


def instances_of(word: str) -> bytes:
    return json.dumps({"instances": [word]}).encode()


def message_of(word: str) -> Any:
    return infer_request("code", "BYTES", np.array([word.encode()], object), raw=False)


class Http1Call:
    """A call that its client can leave."""

    def __init__(self, served: Served, word: str, path: str = INFER, body: Callable[[str], bytes] = body_of) -> None:
        host, port = target_of(served.runtime).split(":")
        self.socket = socket.create_connection((host, int(port)), timeout=60)
        data = body(word)
        head = f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(data)}\r\n\r\n"
        self.socket.sendall(head.encode() + data)

    def leave(self) -> None:
        self.socket.close()


def left_over_http1(path: str = INFER, body: Callable[[str], bytes] = body_of) -> Callable[[Served, str], None]:
    def leave(served: Served, word: str) -> None:
        call = Http1Call(served, word, path, body)
        served.wait_begun(word)
        call.leave()

    return leave


def reset_over_http2(served: Served, word: str) -> None:
    wire = Wire(target_of(served.runtime))
    stream = wire.send(INFER, body_of(word), {"content-type": "application/json"})
    served.wait_begun(word)
    wire.connection.stream(stream).reset()
    wire.flush()
    served.wait_end(word, "cancelled")  # while the connection is still there
    wire.socket.close()


def cancelled_over_grpc(served: Served, word: str) -> None:
    client = Client(target_of(served.runtime))
    method = client.channel.unary_unary(
        SERVICE + "ModelInfer", PB.ModelInferRequest.SerializeToString, PB.ModelInferResponse.FromString
    )
    call = method.future(message_of(word), timeout=60)
    served.wait_begun(word)
    call.cancel()
    served.wait_end(word, "cancelled")
    client.channel.close()


def cancelled_stream_over_grpc(served: Served, word: str) -> None:
    client = Client(target_of(served.runtime))
    method = client.channel.stream_stream(
        SERVICE + "ModelStreamInfer", PB.ModelInferRequest.SerializeToString, PB.ModelStreamInferResponse.FromString
    )
    call = method(iter([message_of(word)]), timeout=60)
    served.wait_begun(word)
    call.cancel()
    served.wait_end(word, "cancelled")
    client.channel.close()


def late_by_header(served: Served, word: str) -> None:
    answer = httpx.post(
        served.url + INFER, content=body_of(word),
        headers={TIMEOUT: str(int(1000 * LIMIT_SECONDS))}, timeout=60,
    )  # fmt: skip
    assert answer.status_code == 504


def late_over_grpc(served: Served, word: str) -> None:
    client = Client(target_of(served.runtime))
    with pytest.raises(grpc.RpcError) as raised:
        client.call("ModelInfer", message_of(word), timeout=LIMIT_SECONDS)
    assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    client.channel.close()


@pytest.mark.parametrize(
    ("leave", "reasons"),
    [
        pytest.param(left_over_http1(), ["cancelled"], id="http1"),
        pytest.param(left_over_http1("/v1/models/code:predict", instances_of), ["cancelled"], id="http1-v1"),
        pytest.param(left_over_http1("/v1/models/code:explain", instances_of), ["cancelled"], id="http1-explain"),
        pytest.param(
            left_over_http1("/v2/models/code/generate", lambda word: json.dumps({"x": word}).encode()),
            ["cancelled"], id="http1-generate",
        ),
        pytest.param(reset_over_http2, ["cancelled"], id="http2"),
        pytest.param(cancelled_over_grpc, ["cancelled"], id="grpc"),
        pytest.param(cancelled_stream_over_grpc, [], id="grpc-stream"),
        pytest.param(late_by_header, ["deadline"], id="deadline-by-header"),
        # gRPC's client ends the call at its deadline, too; who is first, it or the server, is open.
        pytest.param(late_over_grpc, ["deadline", "cancelled"], id="deadline-over-grpc"),
    ],
)  # fmt: skip
def test_a_coroutine_that_nobody_waits_for_is_cancelled_and_the_next_has_its_turn(
    served: Served, leave: Callable[[Served, str], None], reasons: list[str], request: pytest.FixtureRequest
) -> None:
    word = request.node.callspec.id
    before = sum(served.dropped(why) for why in reasons)
    leave(served, word)
    served.wait_end(word, "cancelled")
    served.assert_next_is_answered(word)
    assert sum(served.dropped(why) for why in reasons) == before + len(reasons[:1])
    assert served.count('haizen_requests_in_flight{model_name="code",model_version="1"}') == 0


def test_an_explanation_of_a_class_that_streams_is_cancelled(tmp_path: Path) -> None:
    served = Served(tmp_path, CODE.replace("max_concurrency = 1", "max_concurrency = 1\n    decoupled = True"))
    left_over_http1("/v1/models/code:explain", instances_of)(served, "left")
    served.wait_end("left", "cancelled")
    explained = httpx.post(f"{served.url}/v1/models/code:explain", content=instances_of("next"), timeout=60)
    assert (explained.status_code, explained.json()) == (200, {"explained": 1})
    served.stop()


def test_code_that_goes_on_keeps_its_place_and_its_answer_is_dropped(served: Served) -> None:
    left_over_http1()(served, "stubborn")
    served.wait_end("stubborn", "cancelled")
    with ThreadPoolExecutor(1) as client:
        following = client.submit(served.ask, "next after stubborn")
        served.wait_queued(1)
        assert not served.note("next after stubborn", "begun")
        served.open("stubborn")
        assert following.result().json()["outputs"][1]["data"] == [1]


def test_an_error_on_the_way_out_is_no_failure(served: Served) -> None:
    left_over_http1()(served, "failing")
    served.wait_end("failing", "cancelled")
    served.assert_next_is_answered("failing")


def test_calls_that_are_waited_for_are_answered_beside_those_that_are_cancelled(tmp_path: Path) -> None:
    served = Served(tmp_path, CODE.replace("max_concurrency = 1", "max_concurrency = 8"))
    with ThreadPoolExecutor(4) as clients:
        kept = [clients.submit(served.ask, f"kept {number}") for number in range(4)]
        for number in range(4):
            served.wait_begun(f"kept {number}")
            left_over_http1()(served, f"left {number}")
        for number in range(4):
            served.wait_end(f"left {number}", "cancelled")
            served.open(f"kept {number}")
        assert [future.result().status_code for future in kept] == [200] * 4
    served.stop()


@pytest.mark.parametrize(
    "limits",
    [
        pytest.param(["--worker_timeout_seconds=5"], id="the-workers"),
        pytest.param(["--worker_timeout_seconds=5", "--request_timeout_seconds=5"], id="both-the-same"),
    ],
)
def test_a_coroutine_at_its_limit_takes_no_other_call_along(tmp_path: Path, limits: list[str]) -> None:
    served = Served(tmp_path, CODE.replace("max_concurrency = 1", "max_concurrency = 8"), *limits)
    with ThreadPoolExecutor(1) as client:
        late = client.submit(served.ask, "late")
        served.wait_begun("late")
        served.wait_end("late", "cancelled")
        assert late.result().status_code == 504
    served.assert_next_is_answered("late")  # by the process that counts how many calls it had at once
    assert "a worker of model" not in served.runtime.log
    served.stop()


@pytest.fixture
def batching(tmp_path: Path) -> Iterator[Served]:
    served = Served(tmp_path, CODE.replace("max_concurrency = 1", "max_concurrency = 1\n    max_batch_size = 2"))
    yield served
    served.stop()


@pytest.mark.parametrize("both_leave", [False, True])
def test_a_merged_batch_goes_on_while_one_of_its_requests_is_waited_for(batching: Served, both_leave: bool) -> None:
    with ThreadPoolExecutor(2) as clients:
        first = clients.submit(batching.ask, "first")
        batching.wait_begun("first")
        leaving = Http1Call(batching, "merged")
        batching.wait_queued(1)
        other: Future[httpx.Response] | Http1Call
        other = Http1Call(batching, "other") if both_leave else clients.submit(batching.ask, "other")
        batching.wait_queued(2)
        batching.open("first")
        assert first.result().status_code == 200
        batching.wait_begun("merged")
        assert batching.note("merged", "begun") == "2"
        leaving.leave()
        wait_for(lambda: batching.dropped("cancelled") == 1)
        assert not batching.note("merged", "end")
        if isinstance(other, Http1Call):
            other.leave()
            batching.wait_end("merged", "cancelled")
        else:
            batching.open("merged")
            assert other.result().json()["outputs"][0]["data"] == ["other"]
            assert batching.note("merged", "end") == "answered"
    batching.assert_next_is_answered("merged")


@pytest.mark.parametrize(
    "code",
    [
        pytest.param(CODE.replace("max_concurrency = 1", "cancellable = False\n    max_concurrency = 1"), id="said"),
        pytest.param(
            CODE.replace("async def", "def").replace("(await self.predict(inputs))", "self.predict(inputs)")
            .replace("await asyncio.sleep", "time.sleep"),
            id="ordinary",
        ),
    ],
)  # fmt: skip
def test_what_cannot_or_must_not_be_ended_runs_to_its_end(tmp_path: Path, code: str) -> None:
    served = Served(tmp_path, code)
    left_over_http1()(served, "left")
    late_by_header(served, "late")  # it waits for its turn in vain, and the sweep comes by
    assert not served.note("left", "end")
    served.open("left")
    served.wait_end("left", "answered")
    served.assert_next_is_answered("left")
    assert (served.dropped("deadline"), served.dropped("cancelled")) == (1, 0)
    served.stop()
