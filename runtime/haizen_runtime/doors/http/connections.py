"""Connections: uvicorn's protocols with a limit on their number and on how long a request's head may take to arrive."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.auto_zttp_impl import AutoZttpProtocol
from uvicorn.protocols.http.zttp_impl import ZttpProtocol

from haizen_runtime.doors.http.http2 import FEW_STREAMS, WINDOWS, Http2Connection
from haizen_runtime.doors.http.unread import UnreadLimit

if TYPE_CHECKING:
    from haizen_runtime.settings import Settings


def connection_class(settings: Settings) -> type[asyncio.Protocol]:
    """The protocol of a new connection, HTTP/1.1 or h2c by its first bytes."""
    header_timeout, limit = settings.header_timeout_seconds, settings.max_connections
    write_timeout = settings.write_timeout_seconds

    class Http1(Http1Connection):
        header_timeout_seconds = header_timeout
        write_timeout_seconds = write_timeout

    class Http2(Http2Connection):
        write_timeout_seconds = write_timeout
        first_frames = WINDOWS if settings.processes == 1 else WINDOWS + FEW_STREAMS

    class Connection(AutoZttpProtocol):
        refused = False

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            if limit and len(self.connections) >= limit:
                self.refused = True
                transport.write(_answer(503, f"All {limit} connections are in use; try again later."))
                transport.close()
            else:
                super().connection_made(transport)

        def data_received(self, data: bytes) -> None:
            if not self.refused:
                super().data_received(data)

        def _switch(self, http2: bool, initial_data: bytes = b"") -> None:
            kind: type[Any] = Http2 if http2 else Http1
            protocol = kind(
                config=self.config, server_state=self.server_state, app_state=self.app_state, _loop=self.loop
            )
            self.transport.set_protocol(protocol)
            protocol.connection_made(self.transport)
            if initial_data:
                protocol.data_received(initial_data)

    return Connection


class Http1Connection(UnreadLimit, ZttpProtocol):
    """HTTP/1.1 of a client that may be slow, broken or hostile."""

    header_timeout_seconds: float
    _head_timer: asyncio.TimerHandle | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        conn: Any = HeldHead(self.conn)
        self.conn = conn

    def data_received(self, data: bytes) -> None:
        """Parse; what is no HTTP gets a 400."""
        try:
            super().data_received(data)
        except UnicodeDecodeError:
            self.handle_remote_protocol_error()
        waits_for_head = self.cycle is None or self.cycle.response_complete
        if waits_for_head:
            # uvicorn's idle timer ended with these bytes, and they did not complete a request.
            if self._head_timer is None and self.timeout_keep_alive_task is None:
                self._head_timer = self.loop.call_later(self.header_timeout_seconds, self._head_is_late)
        elif self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP in the form of every other error, unless an answer is on its way already."""
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            self.transport.write(_answer(400, "The request is not valid HTTP."))
        self.transport.close()

    def _head_is_late(self) -> None:
        self._head_timer = None
        if self.transport.is_closing():
            return
        answered_early = self.cycle is not None and self.cycle.more_body  # its body still drips in
        if not answered_early:
            limit = self.header_timeout_seconds
            self.transport.write(_answer(408, f"The request's headers did not arrive within {limit:g} seconds."))
        self.transport.close()


class HeldHead:
    """A zttp connection whose response heads wait for the first of the body, so that both leave in one write.

    uvicorn writes after each ASGI message, and a small answer would cost two system calls instead of one.
    """

    __slots__ = (
        "_data", "_head", "_held", "end_message", "next_event", "receive_event", "send_data", "send_informational",
        "should_close", "start_next_cycle", "upgrade",
    )  # fmt: skip

    def __init__(self, conn: Any) -> None:
        self._held = False
        self._data = conn.data_to_send
        self._head = conn.send_response
        self.end_message = conn.end_message
        self.next_event = conn.next_event
        self.receive_event = conn.receive_event
        self.send_data = conn.send_data
        self.send_informational = conn.send_informational
        self.should_close = conn.should_close
        self.start_next_cycle = conn.start_next_cycle
        self.upgrade = conn.upgrade

    def send_response(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        """Frame a head."""
        self._head(status, headers)
        self._held = True

    def data_to_send(self) -> bytes:
        """What to write now: nothing right after a head, then all there is."""
        if self._held:
            self._held = False
            return b""
        data: bytes = self._data()
        return data


_REASONS = {400: b"Bad Request", 408: b"Request Timeout", 503: b"Service Unavailable"}


def _answer(status: int, message: str) -> bytes:
    """A whole HTTP/1.1 answer, for connections that have no request to answer."""
    body = json.dumps({"error": message}).encode()
    lines = [
        b"HTTP/1.1 %d %s" % (status, _REASONS[status]),
        b"content-type: application/json",
        b"content-length: %d" % len(body),
        *((b"retry-after: 1",) if status == 503 else ()),
        b"connection: close",
    ]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body
