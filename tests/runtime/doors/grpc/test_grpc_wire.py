"""gRPC below its client: frames, headers and connections as a broken or hostile client, or a busy one, has them."""

from __future__ import annotations

import gzip
import socket
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import pytest
import zttp
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.runtime.conftest import wait_for
from tests.runtime.doors.grpc.conftest import PB, SERVICE, Client, infer_request, target_of

INFER = SERVICE + "ModelInfer"
PATHS = [
    *(SERVICE + name for name in ("ModelInfer", "ModelStreamInfer", "ModelReady", "RepositoryModelLoad")),
    "/grpc.health.v1.Health/Check",
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
]
ROW = np.array([[5.1, 3.5, 1.4, 0.2]])
MESSAGE = infer_request("iris", "FP64", ROW).SerializeToString()
RETIRES_AFTER = 3072
"""Streams; zttp ends a connection after 4096."""


def framed(message: bytes, flag: int = 0) -> bytes:
    return struct.pack(">BI", flag, len(message)) + message


@dataclass
class Answer:
    headers: dict[bytes, bytes] = field(default_factory=dict)
    status: int = 0
    body: bytes = b""
    trailers: dict[bytes, bytes] = field(default_factory=dict)
    ended: bool = False

    @property
    def code(self) -> int:
        return int(self.trailers[b"grpc-status"])


class Wire:
    """One HTTP/2 connection of our own."""

    def __init__(self, target: str) -> None:
        host, _, port = target.partition(":")
        self.socket = socket.create_connection((host, int(port)), timeout=60)
        self.connection: Any = zttp.Connection(zttp.CLIENT, protocol=zttp.HTTP2)
        self.connection.initiate_connection()
        self.answers: dict[int, Answer] = {}
        self.goaways: list[Any] = []

    def send(self, path: str, body: bytes, headers: dict[str, str] | None = None, method: str = "POST") -> int:
        all_headers = {"host": "x", "te": "trailers", "content-type": "application/grpc", **(headers or {})}
        pairs = [(name.encode(), value.encode()) for name, value in all_headers.items()]
        stream = self.connection.send_request(method.encode(), path.encode(), b"2", pairs)
        if body:
            stream.send_data(body)
        stream.end_message()
        self.flush()
        self.answers[stream.stream_id] = Answer()
        return int(stream.stream_id)

    def flush(self) -> None:
        self.socket.sendall(self.connection.data_to_send())

    def receive(self) -> None:
        data = self.socket.recv(1 << 16)
        assert data, f"the server closed the connection: {self.goaways}"
        self.connection.receive_data(data)
        while (event := self.connection.next_event()) is not zttp.NEED_DATA:
            if isinstance(event, zttp.GoAway):
                self.goaways.append(event)
                continue
            answer = self.answers.get(getattr(event, "stream_id", 0))
            if answer is None:
                continue
            if isinstance(event, zttp.Response):
                answer.status, answer.headers = event.status_code, dict(event.headers)
            elif isinstance(event, zttp.Data):
                answer.body += event.data
            elif isinstance(event, zttp.EndOfMessage):
                answer.trailers, answer.ended = dict(event.trailers), True
            elif isinstance(event, zttp.RstStream):
                answer.ended = True
        self.flush()

    def call(self, path: str, body: bytes, headers: dict[str, str] | None = None, method: str = "POST") -> Answer:
        stream = self.send(path, body, headers, method)
        while not self.answers[stream].ended:
            self.receive()
        return self.answers.pop(stream)


@pytest.fixture
def wire(iris_runtime: Any) -> Iterator[Wire]:
    wire = Wire(target_of(iris_runtime))
    yield wire
    wire.socket.close()


def test_a_good_call(wire: Wire) -> None:
    answer = wire.call(INFER, framed(MESSAGE))
    assert (answer.status, answer.code, answer.headers[b"content-type"]) == (200, 0, b"application/grpc")
    assert answer.headers[b"haizen-revision"] == b"iris-predictor-00001"
    assert PB.ModelInferResponse.FromString(answer.body[5:]).model_name == "iris"


@pytest.mark.parametrize(
    ("body", "headers", "code", "says"),
    [
        pytest.param(b"", {}, 13, b"no message", id="nothing"),
        pytest.param(b"\0\0\0", {}, 13, b"ends inside a message", id="prefix-cut"),
        pytest.param(b"\0\0\0\0\x09abc", {}, 13, b"ends inside a message", id="message-cut"),
        pytest.param(framed(MESSAGE) * 2, {}, 13, b"more than one", id="two-messages"),
        pytest.param(framed(MESSAGE) + b"\0", {}, 13, b"more than one", id="bytes-left"),
        pytest.param(framed(MESSAGE, 2), {}, 13, b"flag 2", id="flag"),
        pytest.param(framed(gzip.compress(MESSAGE), 1), {}, 13, b"no grpc-encoding", id="no-encoding"),
        pytest.param(framed(b"abc", 1), {"grpc-encoding": "gzip"}, 3, b"not valid gzip", id="no-gzip"),
        pytest.param(framed(b"abc", 1), {"grpc-encoding": "deflate"}, 3, b"not valid deflate", id="no-deflate"),
        pytest.param(framed(MESSAGE), {"grpc-encoding": "snappy"}, 12, b"snappy is not supported", id="encoding"),
        pytest.param(b"\0\xff\xff\xff\xff", {}, 8, b"4294967295 bytes", id="length"),
        pytest.param(framed(bytes(1_000_001)), {}, 8, b"larger than", id="too-large"),
        pytest.param(framed(bytes(1_100_000)), {}, 8, b"larger than", id="much-too-large"),
        pytest.param(
            framed(gzip.compress(bytes(50_000_000)), 1), {"grpc-encoding": "gzip"}, 8, b"when decompressed", id="bomb"
        ),
        pytest.param(framed(MESSAGE), {"grpc-timeout": "1"}, 3, b"grpc-timeout 1 is not valid", id="no-unit"),
        pytest.param(framed(MESSAGE), {"grpc-timeout": "123456789S"}, 3, b"up to eight digits", id="nine-digits"),
        pytest.param(framed(MESSAGE), {"grpc-timeout": "0n"}, 4, b"deadline", id="no-time"),
        pytest.param(framed(MESSAGE), {"grpc-timeout": "99999999H"}, 0, b"", id="much-time"),
        pytest.param(framed(MESSAGE), {"grpc-encoding": "gzip"}, 0, b"", id="encoding-unused"),
        pytest.param(framed(zlib.compress(MESSAGE), 1), {"grpc-encoding": "deflate"}, 0, b"", id="deflate"),
        pytest.param(framed(MESSAGE), {"content-type": "application/grpc+proto"}, 0, b"", id="proto"),
        pytest.param(framed(MESSAGE), {"content-type": "application/grpc; v=1"}, 0, b"", id="parameter"),
    ],
)
def test_frames_and_headers(wire: Wire, body: bytes, headers: dict[str, str], code: int, says: bytes) -> None:
    answer = wire.call(INFER, body, headers)
    assert (answer.status, answer.code) == (200, code), answer
    assert says in answer.trailers.get(b"grpc-message", b"")
    assert answer.headers[b"grpc-accept-encoding"] == b"identity,deflate,gzip"
    assert wire.call(INFER, framed(MESSAGE)).code == 0, "the connection goes on"


@pytest.mark.parametrize(
    ("headers", "method", "status"),
    [
        pytest.param({"content-type": "application/grpc+json"}, "POST", 415, id="json"),
        pytest.param({"content-type": "application/grpc-web"}, "POST", 415, id="web"),
        pytest.param({}, "GET", 405, id="get"),
    ],
)
def test_what_only_looks_like_grpc_gets_an_answer_of_http(
    wire: Wire, headers: dict[str, str], method: str, status: int
) -> None:
    assert wire.call(INFER, framed(MESSAGE) if method == "POST" else b"", headers, method).status == status


def test_grpc_over_http1_is_refused(iris_runtime: Any) -> None:
    answer = httpx.post(iris_runtime.url + INFER, content=framed(MESSAGE), headers={"content-type": "application/grpc"})
    assert (answer.status_code, answer.json()) == (415, {"error": "gRPC needs HTTP/2."})


def test_compressed_answers(wire: Wire) -> None:
    many = infer_request("iris", "FP64", np.tile(ROW, (500, 1))).SerializeToString()
    headers = {"grpc-encoding": "gzip", "grpc-accept-encoding": "identity, gzip"}
    answer = wire.call(INFER, framed(gzip.compress(many), 1), headers)
    assert (answer.headers[b"grpc-encoding"], answer.body[0]) == (b"gzip", 1)
    whole = PB.ModelInferResponse.FromString(gzip.decompress(answer.body[5:]))
    assert np.frombuffer(whole.raw_output_contents[0], np.int64).tolist() == [0] * 500
    answer = wire.call(INFER, framed(gzip.compress(many), 1), {"grpc-encoding": "gzip"})
    assert (b"grpc-encoding" in answer.headers, answer.body[0]) == (False, 0), (
        "the client did not say that it reads gzip"
    )


def test_a_message_in_many_small_pieces(wire: Wire) -> None:
    body = framed(MESSAGE)
    stream = wire.connection.send_request(
        b"POST", INFER.encode(), b"2", [(b"host", b"x"), (b"te", b"trailers"), (b"content-type", b"application/grpc")]
    )
    wire.answers[stream.stream_id] = Answer()
    for index in range(len(body)):
        stream.send_data(body[index : index + 1])
        wire.flush()
    stream.end_message()
    wire.flush()
    while not wire.answers[stream.stream_id].ended:
        wire.receive()
    assert wire.answers[stream.stream_id].code == 0


def test_a_body_that_does_not_arrive(hasty_runtime: Any) -> None:
    wire = Wire(target_of(hasty_runtime))
    with wire.socket:
        stream = wire.connection.send_request(
            b"POST", INFER.encode(), b"2",
            [(b"host", b"x"), (b"te", b"trailers"), (b"content-type", b"application/grpc")],
        )  # fmt: skip
        wire.answers[stream.stream_id] = Answer()
        stream.send_data(framed(MESSAGE)[:20])
        wire.flush()
        while not wire.answers[stream.stream_id].ended:
            wire.receive()
        answer = wire.answers[stream.stream_id]
        assert (answer.code, b"did not arrive within 2 seconds" in answer.trailers[b"grpc-message"]) == (4, True)
        assert wire.call(INFER, framed(MESSAGE)).code == 0


def test_any_message_gets_a_status(iris_runtime: Any) -> None:
    wire = Wire(target_of(iris_runtime))

    @settings(deadline=None, max_examples=300)
    @given(
        path=st.sampled_from(PATHS),
        body=st.binary(max_size=40) | st.binary(max_size=80).map(framed),
    )
    def any_message(path: str, body: bytes) -> None:
        answer = wire.call(path, body)
        assert (answer.status, answer.code in (0, 3, 5, 7, 8, 13)) == (200, True), answer

    any_message()
    wire.socket.close()
    assert "Traceback" not in iris_runtime.log


def test_a_connection_is_retired_before_it_would_break(wire: Wire) -> None:
    for index in range(RETIRES_AFTER + 500):
        assert wire.call(INFER, framed(MESSAGE)).code == 0
        assert bool(wire.goaways) == (index + 1 >= RETIRES_AFTER), (
            "none too early; later calls are answered all the same"
        )
    (goaway,) = wire.goaways
    assert (goaway.error_code, goaway.last_stream_id) == (0, 2**31 - 1)


@pytest.mark.parametrize("calls", [0, 1, 3])
def test_an_idle_connection_is_told_goodbye(iris_dir: Path, start_runtime: Callable[..., Any], calls: int) -> None:
    runtime = start_runtime(
        "--model_name=iris", f"--model_dir={iris_dir}", "--allow_code", "--keep_alive_timeout_seconds=3"
    )
    runtime.wait_ready()
    wire = Wire(target_of(runtime))
    with wire.socket:
        wire.flush()
        for _ in range(calls):
            assert wire.call(INFER, framed(MESSAGE)).code == 0
        while not wire.goaways:
            wire.receive()
        assert wire.socket.recv(1) == b""
    assert [goaway.error_code for goaway in wire.goaways] == [0]


@pytest.mark.parametrize("abrupt", [pytest.param(False, id="closed"), pytest.param(True, id="reset")])
def test_clients_that_leave_with_calls_under_way(iris_runtime: Any, abrupt: bool) -> None:
    many = infer_request("iris", "FP64", np.tile(ROW, (3000, 1))).SerializeToString()
    for count in range(20):
        wire = Wire(target_of(iris_runtime))
        for _ in range(10):
            wire.send(INFER, framed(many))
        wire.send(SERVICE + "ModelStreamInfer", framed(MESSAGE) * 20)
        if abrupt:
            wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        time.sleep(0.002 * count)
        wire.socket.close()
    wire = Wire(target_of(iris_runtime))
    assert wire.call(INFER, framed(MESSAGE)).code == 0
    wire.socket.close()
    assert "Traceback" not in iris_runtime.log


def test_windows_hold_a_large_tensor(wire: Wire) -> None:
    assert wire.call(INFER, framed(MESSAGE)).code == 0
    assert wire.connection.send_window >= 15 * 1024 * 1024
    stream = wire.connection.send_request(b"POST", INFER.encode(), b"2", [(b"host", b"x"), (b"te", b"trailers")])
    assert stream.send_window == 4 * 1024 * 1024


def test_many_calls_of_grpcs_client_and_none_is_lost(iris_client: Client, iris_data: Any, iris_model: Any) -> None:
    calls, in_flight = 12_000, 64
    rows = [infer_request("iris", "FP64", iris_data[0][index : index + 1]) for index in range(150)]
    expected = [value.to_bytes(8, "little") for value in iris_model.predict(iris_data[0]).tolist()]
    method = iris_client.channel.unary_unary(
        INFER, PB.ModelInferRequest.SerializeToString, PB.ModelInferResponse.FromString
    )

    def caller(first: int) -> int:
        for index in range(first, calls, in_flight):
            assert method(rows[index % 150], timeout=120).raw_output_contents[0] == expected[index % 150]
        return len(range(first, calls, in_flight))

    with ThreadPoolExecutor(in_flight) as pool:
        assert sum(pool.map(caller, range(in_flight))) == calls


def test_no_call_is_lost_when_the_process_ends(iris_dir: Path, start_runtime: Callable[..., Any]) -> None:
    runtime = start_runtime("--model_name=iris", f"--model_dir={iris_dir}", "--allow-code", "--drain_quiet_seconds=5")
    runtime.wait_ready()
    client = Client(target_of(runtime))
    method = client.channel.unary_unary(INFER, PB.ModelInferRequest.SerializeToString, PB.ModelInferResponse.FromString)
    stop, counts = threading.Event(), [0] * 8

    def caller(index: int) -> None:
        while not stop.is_set():
            method(infer_request("iris", "FP64", ROW), timeout=60)
            counts[index] += 1

    def all_are_answered_on() -> None:
        """Twenty more calls of each; a caller that ends has failed."""
        goals = [count + 20 for count in counts]
        wait_for(lambda: all(count >= goal for count, goal in zip(counts, goals, strict=True)) or any(
            call.done() for call in calls), runtime.describe)  # fmt: skip

    with ThreadPoolExecutor(8) as pool:
        calls = [pool.submit(caller, index) for index in range(8)]
        try:
            all_are_answered_on()
            runtime.terminate()
            wait_for(lambda: "draining" in runtime.log, runtime.describe)
            all_are_answered_on()
        finally:
            stop.set()
        for call in calls:
            call.result()
    client.channel.close()
    assert runtime.wait_exit() == 0


def test_many_cancelled_calls_take_none_of_the_others_along(iris_client: Client) -> None:
    method = iris_client.channel.unary_unary(
        INFER, PB.ModelInferRequest.SerializeToString, PB.ModelInferResponse.FromString
    )
    message = infer_request("iris", "FP64", np.tile(ROW, (2000, 1)))
    for _ in range(40):
        futures = [method.future(message, timeout=60) for _ in range(20)]
        for future in futures[::2]:
            future.cancel()
        for future in futures[1::2]:
            assert future.code() is grpc.StatusCode.OK, future.details()
