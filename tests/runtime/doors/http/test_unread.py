"""Clients that do not read, or send on without reading: real sockets, small buffers."""

from __future__ import annotations

import asyncio
import gc
import socket
import ssl
import struct
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import uvloop
from uvicorn.config import Config
from uvicorn.server import ServerState

from haizen_runtime.doors.http.connections import connection_class
from haizen_runtime.doors.http.http1 import HIGH_WATER_BYTES
from haizen_runtime.settings import Settings
from tests.runtime.certificates import Authority
from tests.runtime.conftest import until

Case = Callable[["Served"], Awaitable[None]]

LIMIT_SECONDS = 30
HEAD = bytes((0x82, 0x87, 0x84, 0x41, 1)) + b"x"
"""GET https / with the authority x, in HPACK."""


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload


SMALL_BUFFERS = 4096
FIRST = {"h1": b"", "h2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0)}


def get(version: str, number: int) -> bytes:
    """A request for an answer of 8 kB."""
    return b"GET / HTTP/1.1\r\nhost: x\r\n\r\n" if version == "h1" else frame(1, 5, 2 * number + 1, HEAD)


class Served:
    """One connection, seen from both of its ends. Its client reads nothing of its own accord."""

    def __init__(self, version: str, client: socket.socket, state: ServerState) -> None:
        self.version = version
        self.client = client
        self.state = state
        self.answered = 0
        self.gate = asyncio.Event()
        self.gate.set()

    @property
    def connection(self) -> Any:
        (connection,) = self.state.connections
        return connection

    @property
    def unread_bytes(self) -> int:
        """What the server's transport still holds."""
        size: int = self.connection.transport.get_write_buffer_size()
        return size

    @property
    def gone(self) -> bool:
        return not self.state.connections

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        await self.gate.wait()
        size = int(scope["path"].removeprefix("/") or 8000)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % size)]})
        await send({"type": "http.response.body", "body": b"a" * size})
        self.answered += 1

    async def send(self, data: bytes) -> None:
        if isinstance(self.client, ssl.SSLSocket):  # which the loop does not take
            await asyncio.to_thread(self.client.sendall, data)
        else:
            await asyncio.get_running_loop().sock_sendall(self.client, data)

    async def leave_little_unread(self) -> None:
        """Ask until some of the answers waits, too little for writing to be paused."""
        await self.send(FIRST[self.version])
        for number in range(100):
            await self.send(get(self.version, number))
            await until(lambda expected=number + 1: self.answered == expected)  # type: ignore[misc]
            await asyncio.sleep(0.01)  # the answer leaves in a later turn of the loop
            if self.unread_bytes:
                break
        assert 0 < self.unread_bytes < 64 * 1024
        assert not self.connection.flow.write_paused


class Tls:
    """What both ends need for it."""

    def __init__(self, folder: Path) -> None:
        authority = Authority("the authority")
        self.server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.server.load_cert_chain(*authority.write(folder, "server"))
        self.client = ssl.create_default_context(cadata=authority.pem.decode())

    async def wrapped(self, client: socket.socket) -> socket.socket:
        """A connected socket after its handshake."""
        client.setblocking(True)
        return await asyncio.to_thread(self.client.wrap_socket, client, server_hostname="localhost")


@asynccontextmanager
async def served(version: str, settings: Settings, tls: Tls | None = None) -> AsyncIterator[Served]:
    loop, state = asyncio.get_running_loop(), ServerState()
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as client:
        for end, option in ((listener, socket.SO_SNDBUF), (client, socket.SO_RCVBUF)):
            end.setsockopt(socket.SOL_SOCKET, option, SMALL_BUFFERS)
        both = Served(version, client, state)
        config = Config(
            both.app, interface="asgi3", ws="none", log_config=None, proxy_headers=False,
            timeout_keep_alive=settings.keep_alive_timeout_seconds,
        )  # fmt: skip
        config.load()
        protocol: Any = connection_class(settings)
        server = await loop.create_server(
            lambda: protocol(config=config, server_state=state, app_state={}, _loop=loop),
            sock=listener, ssl=tls and tls.server,
        )  # fmt: skip
        client.setblocking(False)
        try:
            await loop.sock_connect(client, listener.getsockname())
            both.client = client if tls is None else await tls.wrapped(client)
            await until(lambda: bool(state.connections))
            yield both
        finally:
            server.close()
            await until(lambda: both.gone or both.connection.transport.abort())
            both.client.close()


def run(
    loop: Callable[[], asyncio.AbstractEventLoop], version: str, case: Case, tls: Tls | None = None, **settings: Any
) -> None:
    async def main() -> None:
        async with served(version, Settings(model_name="x", **settings), tls) as both:
            await case(both)

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(main())


loops = pytest.mark.parametrize("loop", [asyncio.SelectorEventLoop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
versions = pytest.mark.parametrize("version", ["h1", "h2"])


async def garbage(both: Served) -> None:
    await both.send(b"\0" * 100)


async def half_closed(both: Served) -> None:
    both.client.shutdown(socket.SHUT_WR)


async def shutdown(both: Served) -> None:
    both.connection.shutdown()


async def rest(both: Served) -> None:
    """Let the clock of an idle connection be due; as it is set, it never is while a test runs."""
    connection = both.connection
    await until(lambda: connection.idle_since is not None)
    connection.timeout_keep_alive = 0
    connection._look_if_idle()


async def half_a_head(both: Served) -> None:
    await both.send(b"GET / HT")


@loops
@pytest.mark.parametrize(
    ("version", "end"),
    [(version, end) for version in ("h1", "h2") for end in (garbage, half_closed, shutdown, rest)]
    + [("h1", half_a_head)],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_a_connection_that_is_closed_does_not_wait_for_its_client_for_ever(
    loop: Callable[[], asyncio.AbstractEventLoop], version: str, end: Case
) -> None:
    async def case(both: Served) -> None:
        await both.leave_little_unread()
        await end(both)
        await until(lambda: both.gone)

    run(loop, version, case, write_timeout_seconds=0.2, header_timeout_seconds=1)


async def cut(both: Served) -> None:
    """Half-closed below TLS, which does not tell the connection: only its idle clock ends it."""
    socket.socket.shutdown(both.client, socket.SHUT_WR)
    await rest(both)


@loops
@pytest.mark.parametrize("end", [garbage, cut, shutdown, rest])
def test_nor_over_tls(loop: Callable[[], asyncio.AbstractEventLoop], end: Case, tmp_path: Path) -> None:
    async def case(both: Served) -> None:
        await both.leave_little_unread()
        await end(both)
        await until(lambda: both.gone)

    run(loop, "h1", case, Tls(tmp_path), write_timeout_seconds=0.2, header_timeout_seconds=1)


@loops
def test_what_is_sent_ahead_of_an_answer_is_bounded(loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    """A client may send the next requests before it has its answer, and all get theirs; only so much is held."""
    ahead = b"GET /1 HTTP/1.1\r\nhost: x\r\nfiller: %s\r\n\r\n" % (b"a" * 8000)
    requests = 1000

    async def case(both: Served) -> None:
        running = asyncio.get_running_loop()
        both.gate.clear()
        await both.send(get("h1", 0))
        sending = asyncio.ensure_future(both.send(ahead * requests))
        await until(lambda: type(both.connection).__name__ == "Http1" and both.connection.flow.read_paused)
        assert len(ahead) < both.connection._ahead_bytes < HIGH_WATER_BYTES + 512 * 1024  # one read more at most
        both.gate.set()
        answers = b""  # a status line may come in two pieces
        while answers.count(b"HTTP/1.1 200") < requests + 1:
            chunk = await asyncio.wait_for(running.sock_recv(both.client, 65536), LIMIT_SECONDS)
            assert chunk
            answers += chunk
        await sending
        assert both.answered == requests + 1

    run(loop, "h1", case)


class HandDriven:
    """The loop of a connection, whose clock is in the test's hand: how fast this machine is must not matter."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.due: list[Callable[[], None]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Any:
        self.due.append(callback)
        return SimpleNamespace(cancel=lambda: self.due.remove(callback))


@loops
def test_a_client_that_reads_slowly_is_kept_until_it_reads_no_more(
    loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    size = 3_000_000

    async def case(both: Served) -> None:
        running = asyncio.get_running_loop()
        await both.send(b"GET /%d HTTP/1.1\r\n" % size)
        await until(lambda: type(both.connection).__name__ == "Http1")
        clock = both.connection.loop = HandDriven(running)
        await both.send(b"host: x\r\nconnection: close\r\n\r\n")
        await until(lambda: bool(clock.due))
        for _ in range(10):
            before = both.unread_bytes
            while both.unread_bytes == before:
                assert await asyncio.wait_for(running.sock_recv(both.client, 65536), LIMIT_SECONDS)
            clock.due.pop()()
            assert len(clock.due) == 1

        def look() -> bool:
            """The kernel may have taken some more since the last look; in the end it does not."""
            clock.due.pop()()
            return not clock.due

        await until(look)
        await until(lambda: both.gone)

    run(loop, "h1", case)


@loops
@versions
def test_what_a_client_reads_in_time_is_whole(loop: Callable[[], asyncio.AbstractEventLoop], version: str) -> None:
    async def case(both: Served) -> None:
        await both.leave_little_unread()
        await shutdown(both)
        running, answer = asyncio.get_running_loop(), b""
        while chunk := await asyncio.wait_for(running.sock_recv(both.client, 65536), LIMIT_SECONDS):
            answer += chunk
        assert answer.count(b"a" * 8000) == both.answered
        await until(lambda: both.gone)

    run(loop, version, case)


@pytest.mark.parametrize("version", sorted(FIRST))
def test_a_connection_is_gone_with_its_client(version: str) -> None:
    """Nothing of it waits for the collector: clients of gRPC open a new one every few thousand calls."""

    async def case(both: Served) -> None:
        await both.send(FIRST[version] + get(version, 0))
        await until(lambda: both.answered == 1)
        connection = weakref.ref(both.connection)
        both.client.close()
        await until(lambda: both.gone)
        await until(lambda: connection() is None)

    gc.disable()
    try:
        run(uvloop.new_event_loop, version, case)
    finally:
        gc.enable()
