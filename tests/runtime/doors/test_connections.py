"""Connections of clients that are slow, too many, or speak no HTTP."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.runtime.conftest import wait_for

HEAD = b"POST /v2/models/iris/infer HTTP/1.1\r\nhost: x\r\n"
PATH = b"GET /v2/health/live HTTP/1.1\r\nhost: x\r\n\r\n"


def connect(url: str) -> socket.socket:
    host, port = url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=60)


def read_all(connection: socket.socket) -> bytes:
    answer = b""
    while chunk := connection.recv(65536):
        answer += chunk
    return answer


def status_and_body(answer: bytes) -> tuple[int, Any]:
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


@pytest.mark.parametrize(
    ("first", "start"),
    [
        pytest.param(b"", HEAD, id="no-end-of-the-headers"),
        pytest.param(b"", b"POS", id="half-a-method"),
        pytest.param(PATH, HEAD, id="second-request-of-a-connection"),
    ],
)
def test_headers_that_do_not_come_time_out(hasty_runtime: Any, first: bytes, start: bytes) -> None:
    with connect(hasty_runtime.url) as connection:
        if first:
            connection.sendall(first)
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        connection.sendall(start)
        answer = read_all(connection)
    assert status_and_body(answer) == (408, {"error": "The request's headers did not arrive within 2 seconds."})


def test_bytes_that_drip_in_do_not_move_the_limit(hasty_runtime: Any) -> None:
    with connect(hasty_runtime.url) as connection:
        connection.sendall(HEAD)
        connection.settimeout(0.2)
        answer = b""
        end = time.monotonic() + 60
        while not answer:
            assert time.monotonic() < end, "a client that drips is kept"
            try:
                connection.sendall(b"x-a: b\r\n")
                answer = connection.recv(65536)
            except TimeoutError:
                continue
    assert answer.startswith(b"HTTP/1.1 408")


def test_a_slow_but_steady_client_is_served(iris_runtime: Any) -> None:
    with connect(iris_runtime.url) as connection:
        for byte in PATH.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n"):
            connection.sendall(bytes([byte]))
        assert read_all(connection).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    "request_bytes",
    [
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", id="tls"),
        pytest.param(b"GET / HTTP/9.9\r\nhost: x\r\n\r\n", id="version"),
        pytest.param(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n", id="negative-length"),
        pytest.param(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n", id="two-lengths"),
        pytest.param(b"GET /\xff\xfe HTTP/1.1\r\nhost: x\r\n\r\n", id="bytes-in-the-path"),
        pytest.param(b"GET / HTTP/1.1\r\nhost: x\r\n" + b"a: " + b"b" * 10_000_000 + b"\r\n\r\n", id="huge-header"),
        pytest.param(b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 100_000 + b"\r\n", id="many-headers"),
    ],
)
def test_what_is_no_http_is_refused(iris_runtime: Any, request_bytes: bytes) -> None:
    answer = b""
    with connect(iris_runtime.url) as connection:
        try:
            connection.sendall(request_bytes)
            answer = read_all(connection)
        except (ConnectionResetError, BrokenPipeError):  # closed while the rest was still being sent
            pass
    assert not answer or status_and_body(answer) == (400, {"error": "The request is not valid HTTP."})
    assert httpx.get(iris_runtime.url + "/v2/health/ready").status_code == 200
    assert "Traceback" not in iris_runtime.log


@pytest.fixture
def narrow_runtime(iris_dir: Path, start_runtime: Callable[..., Any]) -> Iterator[Any]:
    runtime = start_runtime("--model_name=iris", f"--model_dir={iris_dir}", "--allow_code", "--max_connections=3")
    runtime.wait_ready()
    return runtime


def test_connections_over_the_limit_are_told_so(narrow_runtime: Any) -> None:
    url, held = narrow_runtime.url, []

    def is_full() -> bool:
        """Open one more; the one that asked whether the server is ready may count for a moment yet."""
        connection = connect(url)
        connection.sendall(PATH)
        if connection.recv(65536).startswith(b"HTTP/1.1 200"):
            held.append(connection)
        else:
            connection.close()
        return len(held) == 3

    try:
        wait_for(is_full, narrow_runtime.describe)
        refused = httpx.get(url + "/v2/health/live")
        assert refused.status_code == 503
        assert refused.json() == {"error": "All 3 connections are in use; try again later."}
        assert refused.headers["retry-after"] == "1"
        held[0].sendall(PATH)
        assert held[0].recv(65536).startswith(b"HTTP/1.1 200")
    finally:
        for connection in held:
            connection.close()
    wait_for(lambda: httpx.get(url + "/v2/health/live").status_code == 200, lambda: "closed connections still count")


def test_the_documentation_is_served_when_asked_for(iris_dir: Path, start_runtime: Callable[..., Any]) -> None:
    runtime = start_runtime("--model_name=iris", f"--model_dir={iris_dir}", "--allow_code", "--enable_docs_url=True")
    document = httpx.get(runtime.url + "/openapi.json", timeout=60).json()
    infer = document["paths"]["/v2/models/{name}/infer"]["post"]
    assert infer["requestBody"]["content"]["application/json"]["schema"] == {
        "$ref": "#/components/schemas/InferRequest"
    }
    names = json.dumps(document).split("#/components/schemas/")[1:]
    assert {name.partition('"')[0] for name in names} <= set(document["components"]["schemas"])
    page = httpx.get(runtime.url + "/docs")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "/openapi.json" in page.text


def test_the_documentation_is_off_by_default(iris_runtime: Any) -> None:
    response = httpx.get(iris_runtime.url + "/docs")
    assert response.status_code == 404
    assert "--enable_docs_url" in response.json()["error"]
