"""Thousands of bad requests against one process: each refused as a fault of the client, memory and metrics flat.

HAIZEN_SOAK_REQUESTS says how many; `make soak` sends a hundred thousand.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import random
import socket
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import grpc
import httpx
import pytest

from tests.runtime.conftest import SERVE, RuntimeProcess, wait_for
from tests.runtime.doors.bad_requests import GOOD, KINDS, V2, GrpcCall, HttpRequest, RawBytes, Request

REQUESTS = int(os.environ.get("HAIZEN_SOAK_REQUESTS", "2600"))
GROWTH_KIB = 24 * 1024
"""What memory may grow by after the first fifth, however many follow: caches that fill, and the allocator's slack."""
CLIENTS = 8
CLIENTS_FAULT = {
    grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND, grpc.StatusCode.UNIMPLEMENTED,
    grpc.StatusCode.INTERNAL,  # gRPC's own word for bytes that are no message
}  # fmt: skip


@dataclass
class Use:
    """What a process holds."""

    rss_kib: int
    threads: int
    files: int
    series: set[str]

    @classmethod
    def of(cls, runtime: RuntimeProcess) -> Use:
        place = Path(f"/proc/{runtime.process.pid}")
        status = dict(line.split(":\t", 1) for line in (place / "status").read_text().splitlines())
        lines = httpx.get(runtime.url + "/metrics").text.splitlines()
        return cls(
            int(status["VmRSS"].split()[0]), int(status["Threads"]), len(os.listdir(place / "fd")),
            {line.rpartition(" ")[0] for line in lines},
        )  # fmt: skip


class Sender:
    """Sends any request to one process; returns the kind of the answer."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.http = http.client.HTTPConnection(target, timeout=60)
        self.channel = grpc.insecure_channel(target)

    def send(self, request: Request) -> str:
        match request:
            case HttpRequest():
                return self._http(request)
            case RawBytes(data):
                return self._raw(data)
            case GrpcCall(path, message):
                return self._grpc(path, message)

    def _http(self, request: HttpRequest) -> str:
        with contextlib.suppress(http.client.RemoteDisconnected, ConnectionError):
            return self._answer(request)
        self.http.close()  # the last answer but one closed the connection
        return self._answer(request)

    def _answer(self, request: HttpRequest) -> str:
        self.http.request("POST", request.path, request.body, {"content-type": "application/json", **request.headers})
        response = self.http.getresponse()
        body = response.read()
        assert 400 <= response.status < 500, (response.status, request, body)
        assert body.startswith(b'{"error":'), (request, body)
        assert b"Traceback" not in body
        return str(response.status)

    def _raw(self, data: bytes) -> str:
        host, port = self.target.split(":")
        answer = b""
        with (
            socket.create_connection((host, int(port)), timeout=60) as connection,
            contextlib.suppress(ConnectionError),
        ):
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            while chunk := connection.recv(65536):
                answer += chunk
        assert not answer.startswith((b"HTTP/1.1 2", b"HTTP/1.1 5")), (data, answer)
        return answer[9:12].decode("latin-1") if answer.startswith(b"HTTP/1.1 4") else "closed"

    def _grpc(self, path: str, message: bytes) -> str:
        with pytest.raises(grpc.RpcError) as caught:
            self.channel.unary_unary(path)(message, timeout=60)
        code = caught.value.code()
        assert code in CLIENTS_FAULT, (message, caught.value)
        return str(code.name)

    def close(self) -> None:
        self.http.close()
        self.channel.close()


@pytest.fixture
def fresh(iris_dir: Path) -> Iterator[RuntimeProcess]:
    """A process of its own: what others did to it would blur what it holds."""
    runtime = RuntimeProcess([*SERVE, "--model_name=iris", f"--model_dir={iris_dir}", "--allow_code"], {})
    try:
        runtime.wait_ready()
        yield runtime
    finally:
        runtime.stop()


@pytest.mark.timeout(240 + REQUESTS // 10)
def test_bad_requests_leave_nothing_behind(fresh: RuntimeProcess) -> None:
    target = fresh.url.removeprefix("http://")

    def send(count: int, seed: int) -> Counter[str]:
        """Send requests one after the other; each seed makes its own."""
        chance, sender, answers = random.Random(seed), Sender(target), Counter[str]()
        for number in range(count):
            kind = KINDS[number % len(KINDS)]
            answers[f"{kind.__name__} {sender.send(kind(chance))}"] += 1
        sender.close()
        return answers

    def send_all(count: int, seed: int) -> tuple[Counter[str], Use]:
        with ThreadPoolExecutor(CLIENTS) as clients:
            parts = clients.map(send, [count // CLIENTS] * CLIENTS, range(seed, seed + CLIENTS))
            answers = sum(parts, Counter[str]())
        wait_for(lambda: Use.of(fresh).files < 60, fresh.describe)  # closed connections may count for a moment
        return answers, Use.of(fresh)

    _, warm = send_all(REQUESTS // 5, 0)
    answers, after = send_all(REQUESTS - REQUESTS // 5, CLIENTS)
    print(f"resident memory {warm.rss_kib} KiB, then {after.rss_kib} KiB; {dict(sorted(answers.items()))}")
    assert {name.partition(" ")[0] for name in answers} == {kind.__name__ for kind in KINDS}
    assert fresh.process.poll() is None
    assert after.rss_kib - warm.rss_kib < GROWTH_KIB
    assert after.threads - warm.threads <= 2
    assert len(after.series - warm.series) <= 2, after.series - warm.series
    assert not any("odd" in line for line in after.series)
    assert "Traceback" not in fresh.log
    response = httpx.post(fresh.url + V2, content=GOOD)
    assert response.json()["outputs"][0]["data"] == [0]
