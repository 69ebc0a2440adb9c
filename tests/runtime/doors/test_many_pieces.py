"""Bodies in very many pieces, and very many clients that leave: neither is a way to make a process grow."""

from __future__ import annotations

import random
import socket
from pathlib import Path
from typing import Any

import httpx

from tests.runtime.conftest import RuntimeProcess, wait_for
from tests.runtime.doors.bad_requests import GOOD, V2

CHUNKS = 70_000
"""More than the 65,536 that have broken other servers."""


def connect(runtime: RuntimeProcess) -> socket.socket:
    host, port = runtime.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=60)


def rss_kib(runtime: RuntimeProcess) -> int:
    status = Path(f"/proc/{runtime.process.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])


def test_a_body_in_chunks_of_one_byte(iris_runtime: Any) -> None:
    head = f"POST {V2} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n".encode()
    body = GOOD + b" " * (CHUNKS - len(GOOD))
    request = head + b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
    sizes = []
    for _ in range(4):
        with connect(iris_runtime) as connection:
            connection.sendall(request)
            answer = b""
            while chunk := connection.recv(65536):
                answer += chunk
        assert answer.startswith(b"HTTP/1.1 200"), answer
        assert b'"data":[0]' in answer
        sizes.append(rss_kib(iris_runtime))
    assert sizes[-1] - sizes[0] < 4096, sizes


def test_a_thousand_clients_that_leave(iris_runtime: Any) -> None:
    """Before, during and after their batch: nothing of them stays in flight."""
    chance = random.Random(36)
    whole = f"POST {V2} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(GOOD)}\r\n\r\n".encode() + GOOD
    for _ in range(1000):
        with connect(iris_runtime) as connection:
            connection.sendall(whole[: chance.choice((len(whole), chance.randrange(1, len(whole))))])
    idle = 'haizen_requests_in_flight{model_name="iris",model_version="1"} 0.0'
    wait_for(lambda: idle in httpx.get(iris_runtime.url + "/metrics", timeout=60).text, iris_runtime.describe)
    assert httpx.post(iris_runtime.url + V2, content=GOOD, timeout=60).json()["outputs"][0]["data"] == [0]
    assert "Traceback" not in iris_runtime.log
