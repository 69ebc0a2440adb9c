"""Connections from the gateway to one runtime process: keep-alive pools that know what is in flight."""

import asyncio
from collections import defaultdict, deque
from typing import Any

import zttp

IDLE_SECONDS = 3.0
"""How long an idle connection is kept. Shorter than any server's keep-alive timeout (uvicorn's default is 5 s), so
that no request is written to a connection that the other side is just closing."""

HIGH_WATER_BYTES = 256 * 1024
"""Unread response bytes at which reading from the runtime pauses, until the client has taken some."""


class UpstreamError(Exception):
    """The runtime's connection broke, or it answered something that is not HTTP."""


class UpstreamConnection(asyncio.Protocol):
    """One HTTP/1.1 connection, used for one exchange at a time."""

    def __init__(self) -> None:
        self._parser: Any = zttp.Connection(zttp.CLIENT)
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._unread = 0
        self._paused = False
        self._lost = False
        self.idle_since = 0.0

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Take bytes of the response; pause while the client is slow."""
        self._parser.receive_data(data)
        self._unread += len(data)
        if self._unread > HIGH_WATER_BYTES and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> None:
        """Note that the runtime sends nothing more."""
        self._end()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that the connection is gone."""
        self._end()

    def pause_writing(self) -> None:
        """Note that the runtime is slow to take the body."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Note that the runtime takes more of the body."""
        self._writable.set()

    def _end(self) -> None:
        if not self._lost:
            self._lost = True
            self._parser.receive_data(b"")  # a body that ends with the connection is complete now
        self._writable.set()
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # One exchange

    @property
    def usable(self) -> bool:
        """Whether another exchange can start on this connection."""
        return not self._lost and self._transport is not None and not self._transport.is_closing() and not self._unread

    def start(self, method: bytes, target: bytes, headers: list[tuple[bytes, bytes]], body: bytes, more: bool) -> None:
        """Write the request's head and the first part of its body in one go."""
        try:
            self._parser.send_request(method, target, b"1.1", headers)
            if body:
                self._parser.send_data(body)
            if not more:
                self._parser.end_message()
        except zttp.LocalProtocolError as error:
            raise UpstreamError(f"the request cannot be passed on: {error}") from error
        self._write()

    async def send_body(self, body: bytes, more: bool) -> None:
        """Write a further part of the body; waits while the runtime is slow to take it."""
        try:
            if body:
                self._parser.send_data(body)
            if not more:
                self._parser.end_message()
        except zttp.LocalProtocolError as error:
            raise UpstreamError(f"the request's body does not fit its headers: {error}") from error
        self._write()
        await self._writable.wait()

    def _write(self) -> None:
        if self._transport is None or self._transport.is_closing():
            raise UpstreamError("the runtime closed the connection")
        self._transport.write(self._parser.data_to_send())

    def ready_event(self) -> Any:
        """Return the next event that needs no waiting, or ``zttp.NEED_DATA``."""
        try:
            return self._parser.next_event()
        except zttp.RemoteProtocolError as error:
            raise UpstreamError(f"the runtime's answer is not valid HTTP: {error}") from error

    async def next_event(self) -> Any:
        """Return the next event of the response; raises UpstreamError when the connection ends before it does."""
        while True:
            event = self.ready_event()
            if event is zttp.CONNECTION_CLOSED or (event is zttp.NEED_DATA and self._lost):
                raise UpstreamError("the runtime closed the connection before its answer was complete")
            if event is not zttp.NEED_DATA:
                return event
            self._unread = 0
            if self._paused and self._transport is not None:
                self._paused = False
                self._transport.resume_reading()
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None

    def finish(self, now: float) -> bool:
        """End an exchange whose response is complete; returns whether the connection can serve another one."""
        self._unread = 0
        if self._lost or self._parser.should_close():
            return False
        self._parser.start_next_cycle()
        self.idle_since = now
        return True

    def close(self) -> None:
        """Close the connection at once."""
        if self._transport is not None:
            self._transport.abort()


class Upstream:
    """One revision's process as the gateway sees it.

    Attributes:
        revision: The revision's name.
        in_flight: The number of requests that were given to it and are not yet answered.
    """

    def __init__(self, revision: str, host: str, port: int) -> None:
        self.revision = revision
        self.host = host
        self.port = port
        self.in_flight = 0
        self._idle: dict[type[UpstreamConnection], deque[UpstreamConnection]] = defaultdict(deque)
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._retired = False

    def begin(self) -> None:
        """Count a request in. Called in the same step as the choice, so that a drain cannot slip in between."""
        self.in_flight += 1
        self._quiet.clear()

    def end(self) -> None:
        """Count a request out."""
        self.in_flight -= 1
        if self.in_flight == 0:
            self._quiet.set()

    async def acquire(self, kind: type[UpstreamConnection] = UpstreamConnection) -> UpstreamConnection:
        """Return an idle connection or a new one; raises OSError when the process does not take connections."""
        loop = asyncio.get_running_loop()
        idle = self._idle[kind]
        while idle:
            connection = idle.pop()
            if connection.usable and loop.time() - connection.idle_since < IDLE_SECONDS:
                return connection
            connection.close()
        _, connection = await loop.create_connection(kind, self.host, self.port)
        return connection

    def release(self, connection: UpstreamConnection, *, complete: bool) -> None:
        """Give a connection back: kept for the next request if its exchange is complete, else closed."""
        if complete and connection.finish(asyncio.get_running_loop().time()) and not self._retired:
            self._idle[type(connection)].append(connection)
        else:
            connection.close()

    async def drained(self) -> None:
        """Wait until nothing is in flight, then close what is idle; the caller took it out of the traffic before."""
        self._retired = True
        await self._quiet.wait()
        for idle in self._idle.values():
            while idle:
                idle.pop().close()
