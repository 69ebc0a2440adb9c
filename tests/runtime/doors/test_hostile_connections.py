"""Connections that are meant to do harm: slow and idle ones by the thousand, smuggled requests, floods."""

from __future__ import annotations

import contextlib
import resource
import socket
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.runtime.conftest import SERVE, RuntimeProcess, wait_for
from tests.runtime.doors.test_connections import connect, read_all

BODY = {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP64", "data": [5.1, 3.5, 1.4, 0.2]}]}
NEXT = b"GET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n"
POST = b"POST /v2/models/iris/infer HTTP/1.1\r\nhost: x\r\n"
GET = b"GET /v2/health/live HTTP/1.1\r\n"
CHUNKED = b"transfer-encoding: chunked\r\n"
END = b"0\r\n\r\n"

DESCRIPTORS = 6000


@pytest.fixture(scope="module", autouse=True)
def many_descriptors() -> Iterator[None]:
    """Room for thousands of sockets, here and in the processes that are started here."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, DESCRIPTORS), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture(scope="module")
def beset(iris_dir: Path, many_descriptors: None) -> Iterator[RuntimeProcess]:
    runtime = RuntimeProcess(
        [*SERVE, "--model_name=iris", f"--model_dir={iris_dir}", "--allow_code", "--header_timeout_seconds=5",
         "--read_timeout_seconds=5", "--write_timeout_seconds=5", "--keep_alive_timeout_seconds=20"], {},
    )  # fmt: skip
    try:
        runtime.wait_ready()
        yield runtime
    finally:
        runtime.stop()


def serves(runtime: RuntimeProcess) -> bool:
    answer = httpx.post(f"{runtime.url}/v2/models/iris/infer", json=BODY, timeout=60)
    return answer.status_code == 200 and answer.json()["outputs"][0]["data"] == [0]


def resident_bytes(runtime: RuntimeProcess) -> int:
    return int(Path(f"/proc/{runtime.process.pid}/statm").read_text().split()[1]) * resource.getpagesize()


def open_sockets(runtime: RuntimeProcess) -> int:
    count = 0
    for each in Path(f"/proc/{runtime.process.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed since it was listed
            count += "socket:" in str(each.readlink())
    return count


def holds(runtime: RuntimeProcess, connection: socket.socket) -> bool:
    """Whether its end of the connection is open: accepted, and not closed since."""
    ours = f":{connection.getsockname()[1]:04X}"
    lines = [line.split() for line in Path(f"/proc/{runtime.process.pid}/net/tcp").read_text().splitlines()]
    return any(line[2].endswith(ours) and line[9] != "0" for line in lines)  # its end has ours as the other address


def test_thousands_of_idle_and_slow_connections(beset: RuntimeProcess) -> None:
    before, memory = open_sockets(beset), resident_bytes(beset)
    slow_starts = [b"", b"P", POST, POST + b"content-length: 100\r\n\r\n{", POST + CHUNKED + b"\r\n5\r\nab"]
    held = []
    try:
        for index in range(2500):
            connection = connect(beset.url)
            held.append(connection)
            if index >= 2000:  # the others say nothing at all
                connection.sendall(slow_starts[index % len(slow_starts)])
        wait_for(lambda: open_sockets(beset) >= before + 2000, beset.describe)
        assert serves(beset)
        assert httpx.get(beset.url + "/v2/health/live", timeout=60).json() == {"live": True}
        assert resident_bytes(beset) - memory < 2500 * 40_000
        answers = {read_all(connection)[:12] for connection in held}
        assert answers == {b"", b"HTTP/1.1 408"}
    finally:
        for connection in held:
            connection.close()
    wait_for(lambda: open_sockets(beset) <= before, beset.describe)
    assert serves(beset)


@pytest.mark.parametrize(
    "request_bytes",
    [
        pytest.param(POST + b"content-length: 4\r\n" + CHUNKED + b"\r\n" + END, id="length-and-chunked"),
        pytest.param(POST + CHUNKED + b"content-length: 4\r\n\r\n" + END, id="chunked-and-length"),
        pytest.param(POST + CHUNKED + b"transfer-encoding: identity\r\n\r\n" + END, id="two-codings"),
        pytest.param(POST + b"transfer-encoding: xchunked\r\n\r\n" + END, id="coding-nobody-knows"),
        pytest.param(POST + b"transfer-encoding:\tchunked\r\ncontent-length: 5\r\n\r\n" + END, id="tab"),
        pytest.param(POST + b"transfer-encoding : chunked\r\n\r\n" + END, id="space-before-the-colon"),
        pytest.param(POST.replace(b"1.1", b"1.0") + CHUNKED + b"\r\n" + END, id="chunked-in-http-1.0"),
        pytest.param(GET.replace(b"\r", b"") + b"host: x\n\n", id="bare-lf"),
        pytest.param(GET + b"host: x\nx-a: b\r\n\r\n", id="bare-lf-in-the-headers"),
        pytest.param(GET + b"host: x\rx-a: b\r\n\r\n", id="bare-cr"),
        pytest.param(GET + b"host: x\r\nx-a: b\r\n c\r\n\r\n", id="folded-header"),
        pytest.param(GET + b"host: x\r\nhost: y\r\n\r\n", id="two-hosts"),
        pytest.param(GET + b"\r\n", id="no-host"),
        pytest.param(GET + b"host: x\r\nx-a: \0\r\n\r\n", id="nul"),
        *(pytest.param(POST + b"content-length: " + length + b"\r\n\r\nabcd", id=f"length-{length.decode()}")
          for length in (b"+4", b"-4", b"0x4", b"4, 5", b"4_0", b"4 4", b"")),
        *(pytest.param(POST + CHUNKED + b"\r\n" + chunk + END, id=f"chunk-{index}")
          for index, chunk in enumerate((b"0x4\r\nabcd\r\n", b"-1\r\nabcd\r\n", b"f" * 17 + b"\r\nabcd\r\n",
                                         b"4\nabcd\r\n", b"4\r\nabcdef", b"4;a\nb\r\nabcd\r\n", b" 4\r\nabcd\r\n"))),
    ],
)  # fmt: skip
def test_no_request_is_smuggled(beset: RuntimeProcess, request_bytes: bytes) -> None:
    """What servers in front could read in two ways is refused, and nothing behind it is taken for a request."""
    with connect(beset.url) as connection:
        connection.sendall(request_bytes + NEXT)
        answer = read_all(connection)
    assert answer.startswith(b"HTTP/1.1 400")
    assert answer.count(b"HTTP/1.1") == 1
    assert b"smuggled" not in answer


def test_a_body_that_looks_like_a_request_is_a_body(beset: RuntimeProcess) -> None:
    with connect(beset.url) as connection:
        connection.sendall(POST + b"content-length: %d\r\n\r\n" % len(NEXT) + NEXT + GET + b"host: x\r\n"
                           b"connection: close\r\n\r\n")  # fmt: skip
        answer = read_all(connection)
    assert answer.count(b"HTTP/1.1 ") == 2
    assert b'{"live":true}' in answer
    assert b"No such path" not in answer


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
HEADERS = bytes((0x83, 0x87, 0x84, 0x41, 1)) + b"x"
"""POST https / with the authority x, in HPACK."""


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload


def flood(runtime: RuntimeProcess, pieces: Iterator[bytes], limit_bytes: int) -> int:
    """Send until the server takes no more, without reading; returns how much it took."""
    sent = 0
    with connect(runtime.url) as connection:
        connection.settimeout(2)
        try:
            connection.sendall(PREFACE)
            for piece in pieces:
                connection.sendall(piece)
                sent += len(piece)
                if sent > limit_bytes:
                    break
        except (TimeoutError, ConnectionResetError, BrokenPipeError):
            pass
        assert serves(runtime)
    return sent


FLOODS: dict[str, Callable[[], Iterator[bytes]]] = {
    "ping": lambda: (frame(6, 0, 0, b"12345678") * 1000 for _ in range(10_000)),
    "settings": lambda: (frame(4, 0, 0) * 1000 for _ in range(10_000)),
    "continuation": lambda: iter([frame(1, 0, 1, HEADERS), *[frame(9, 0, 1, b"\0\1a\1b" * 3000)] * 3000]),
    "reset": lambda: (frame(1, 5, 2 * i + 1, HEADERS) + frame(3, 0, 2 * i + 1, b"\0\0\0\x08") for i in range(90_000)),
    "streams": lambda: (frame(1, 4, 2 * i + 1, HEADERS) for i in range(90_000)),
    "empty-data": lambda: iter([frame(1, 4, 1, HEADERS), *[frame(0, 0, 1) * 1000] * 2000]),
    "window-updates": lambda: iter([frame(8, 0, 0, b"\0\0\0\1") * 1000] * 2000),
    "priorities": lambda: iter([frame(2, 0, 1, b"\0\0\0\3\0") * 1000] * 2000),
}


@pytest.mark.parametrize("kind", FLOODS)
def test_floods_of_http2_frames(beset: RuntimeProcess, kind: str) -> None:
    """Rapid reset (CVE-2023-44487), CONTINUATION (CVE-2024-27316), PING, SETTINGS (CVE-2019-9512, -9515) and others."""
    flood(beset, FLOODS[kind](), 1_000_000)  # what the first one leaves behind, the second finds
    memory = resident_bytes(beset)
    taken = flood(beset, FLOODS[kind](), 100_000_000)
    assert resident_bytes(beset) - memory < 16_000_000, f"{taken} bytes were taken"
    assert serves(beset)
    assert "Traceback" not in beset.log


@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/2"])
def test_a_client_that_does_not_read_is_let_go(beset: RuntimeProcess, version: str) -> None:
    request = GET.replace(b"health/live", b"models/" + b"x" * 200) + b"host: x\r\n\r\n"
    first, more = (b"", request) if version == "HTTP/1.1" else (PREFACE, frame(6, 0, 0, b"12345678"))

    rest = memoryview(first + more * (60_000_000 // len(more)))

    def let_go() -> bool:
        """What the server holds counts: whether the client hears of its end depends on the system's buffers."""
        nonlocal rest
        with contextlib.suppress(BlockingIOError, ConnectionResetError, BrokenPipeError):
            rest = rest[connection.send(rest) :]
        return not holds(beset, connection)

    with connect(beset.url) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        wait_for(lambda: holds(beset, connection), beset.describe)
        connection.setblocking(False)
        wait_for(let_go, beset.describe)
        assert rest, "all of it was taken"
    assert serves(beset)
    assert "Traceback" not in beset.log
