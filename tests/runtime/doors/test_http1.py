"""What a client of HTTP/1.1 may do with a connection, byte for byte."""

from __future__ import annotations

import json
import re
import select
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

INFER = "/v2/models/iris/infer"
BODY = json.dumps(
    {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [5.1, 3.5, 1.4, 0.2]}]}
).encode()


@pytest.fixture
def impatient(iris_dir: Path, start_runtime: Callable[..., Any]) -> Any:
    """A server that keeps idle connections for three seconds: no pause of a busy machine is so long."""
    runtime = start_runtime(
        "--model_name=iris", f"--model_dir={iris_dir}", "--allow_code", "--keep_alive_timeout_seconds=3"
    )
    runtime.wait_ready()
    return runtime


def connect(url: str) -> socket.socket:
    host, port = url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=60)


def request(method: str, path: str, *headers: str, body: bytes = b"", version: str = "1.1") -> bytes:
    lines = [f"{method} {path} HTTP/{version}", "host: x", *headers]
    if body and not any(header.startswith("transfer-encoding") for header in headers):
        lines.append(f"content-length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def read_answer(
    connection: socket.socket, has_body: bool = True, seen: bytes = b""
) -> tuple[int, dict[str, str], bytes, bytes]:
    """Status, headers and body of the next answer, and what came after it."""
    while b"\r\n\r\n" not in seen:
        chunk = connection.recv(65536)
        assert chunk, f"the connection ended after {seen!r}"
        seen += chunk
    head, _, rest = seen.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    length = int(headers.get("content-length", 0)) if has_body else 0
    while len(rest) < length:
        chunk = connection.recv(65536)
        assert chunk, f"the connection ended after {rest!r}"
        rest += chunk
    return int(first.split()[1]), headers, rest[:length], rest[length:]


def ended(connection: socket.socket) -> bool:
    """Whether the server has closed, with nothing more to say."""
    return connection.recv(65536) == b""


def test_pipelined_requests_are_answered_in_their_order(iris_runtime: Any) -> None:
    asked = [request("POST", INFER, f"x-request-id: {i}", body=BODY) for i in range(20)]
    asked.insert(10, request("GET", "/nowhere"))
    with connect(iris_runtime.url) as connection:
        connection.sendall(b"".join(asked))
        answers, rest = [], b""
        for _ in asked:
            status, headers, _, rest = read_answer(connection, seen=rest)
            answers.append((status, headers.get("x-request-id")))
    expected: list[tuple[int, str | None]] = [(200, str(i)) for i in range(20)]
    expected.insert(10, (404, None))
    assert answers == expected


def test_a_head_that_comes_with_the_request_before_it_is_finished_later(iris_runtime: Any) -> None:
    second = request("POST", INFER, body=BODY)
    with connect(iris_runtime.url) as connection:
        connection.sendall(request("GET", "/v2/health/live") + second[:25])
        status, *_, rest = read_answer(connection)
        assert (status, rest) == (200, b"")
        connection.sendall(second[25:])
        assert read_answer(connection)[0] == 200


def test_a_client_that_waits_to_be_asked_for_its_body_is_asked(iris_runtime: Any) -> None:
    with connect(iris_runtime.url) as connection:
        head = request("POST", INFER, "expect: 100-continue", f"content-length: {len(BODY)}")
        connection.sendall(head)
        assert connection.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(BODY)
        assert read_answer(connection)[0] == 200
        connection.sendall(request("GET", "/v2/health/live"))
        assert read_answer(connection)[0] == 200


def test_a_body_that_nobody_wants_is_not_asked_for(iris_runtime: Any) -> None:
    with connect(iris_runtime.url) as connection:
        connection.sendall(request("POST", "/nowhere", "expect: 100-continue", "content-length: 10"))
        assert read_answer(connection)[0] == 404


def test_what_is_left_of_a_body_that_was_answered_early_is_no_request(iris_runtime: Any) -> None:
    with connect(iris_runtime.url) as connection:
        begun = request("POST", "/nowhere", "content-length: 100000")
        connection.sendall(begun + b"x" * 10)
        assert read_answer(connection)[0] == 404
        connection.sendall(b"x" * 99_990 + request("GET", "/v2/health/live"))
        assert read_answer(connection)[0] == 200


def test_a_body_in_chunks(iris_runtime: Any) -> None:
    half = len(BODY) // 2
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (BODY[:half], BODY[half:])) + b"0\r\n\r\n"
    with connect(iris_runtime.url) as connection:
        connection.sendall(request("POST", INFER, "transfer-encoding: chunked", body=chunks))
        assert read_answer(connection)[0] == 200


def test_head_has_the_length_and_no_body(iris_runtime: Any) -> None:
    with connect(iris_runtime.url) as connection:
        connection.sendall(request("HEAD", "/v2/models/iris") + request("GET", "/v2/models/iris"))
        status, headers, _, rest = read_answer(connection, has_body=False)
        again, full, body, _ = read_answer(connection, seen=rest)
    assert (status, again) == (200, 200)
    assert headers["content-length"] == full["content-length"] == str(len(body))


@pytest.mark.parametrize(
    ("headers", "version"),
    [
        pytest.param(["connection: close"], "1.1", id="it said so"),
        pytest.param([], "1.0", id="HTTP/1.0"),
    ],
)
def test_a_client_that_wants_no_more_gets_its_answer_and_the_end(
    iris_runtime: Any, headers: list[str], version: str
) -> None:
    with connect(iris_runtime.url) as connection:
        connection.sendall(request("POST", INFER, *headers, body=BODY, version=version))
        assert read_answer(connection)[0] == 200
        assert ended(connection)


def test_every_answer_has_a_date(iris_runtime: Any) -> None:
    with connect(iris_runtime.url) as connection:
        connection.sendall(request("GET", "/v2/health/live"))
        headers = read_answer(connection)[1]
    assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", headers["date"])


@pytest.mark.parametrize("answered", [pytest.param(1, id="one request"), pytest.param(5, id="several requests")])
def test_an_idle_connection_ends(impatient: Any, answered: int) -> None:
    with connect(impatient.url) as connection:
        for _ in range(answered):
            connection.sendall(request("POST", INFER, body=BODY))
            assert read_answer(connection)[0] == 200
        assert ended(connection)


def test_a_connection_rests_once_a_left_over_body_has_come(impatient: Any) -> None:
    with connect(impatient.url) as connection:
        connection.sendall(request("POST", "/nowhere", "content-length: 100000") + b"x" * 10)
        assert read_answer(connection)[0] == 404
        connection.sendall(b"x" * 50_000)
        connection.sendall(b"x" * 49_990)
        assert ended(connection)  # and is not told that the head of a request is late


@pytest.mark.parametrize("protocol", ["websocket", "h2c"])
def test_a_client_that_offers_another_protocol_is_answered_in_this_one(iris_runtime: Any, protocol: str) -> None:
    with connect(iris_runtime.url) as connection:
        for _ in range(2):
            connection.sendall(request("POST", INFER, "connection: upgrade", f"upgrade: {protocol}", body=BODY))
            assert read_answer(connection)[0] == 200


def test_a_connection_that_is_used_stays(impatient: Any) -> None:
    with connect(impatient.url) as connection:
        for _ in range(8):  # four seconds, none of them idle for three
            connection.sendall(request("GET", "/v2/health/live"))
            assert read_answer(connection)[0] == 200
            assert not select.select([connection], [], [], 0.5)[0], "closed"
