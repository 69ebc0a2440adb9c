"""HTTP/1.1 connections of clients that may be slow, broken or hostile."""

from __future__ import annotations

import asyncio
from typing import Any, Final
from urllib.parse import unquote

import zttp
from uvicorn.protocols.http.zttp_impl import ZttpProtocol

from haizen_runtime.doors.http.http1_exchange import Http1Exchange
from haizen_runtime.doors.http.idle import IdleLimit
from haizen_runtime.doors.http.incoming import INCOMING
from haizen_runtime.doors.http.plain_answers import plain_answer
from haizen_runtime.doors.http.unread import UnreadLimit

HIGH_WATER_BYTES: Final = 1024 * 1024
"""With more of a body unread, or of requests after the one that is being answered, nothing more is read."""
_ASGI: Final = {"version": "3.0", "spec_version": "2.3"}


class Http1Connection(UnreadLimit, IdleLimit, ZttpProtocol):
    """One HTTP/1.1 connection. Its requests are `Http1Exchange`s, which do less than uvicorn's cycles."""

    header_timeout_seconds: float
    conn: Any
    cycle: Any
    _head_timer: asyncio.TimerHandle | None = None
    _ahead_bytes = 0
    """What came while a request that is complete was being answered: zttp holds up to 16 MiB of it."""

    def data_received(self, data: bytes) -> None:
        """Parse; what is no HTTP gets a 400."""
        self.idle_since = None
        exchange = self.cycle
        if exchange is not None and not exchange.response_complete and not exchange.more_body:
            self._ahead_bytes += len(data)
            if self._ahead_bytes > HIGH_WATER_BYTES:
                self.flow.pause_reading()
        try:
            self.handle_events(self.conn.receive_event(data))
        except (zttp.RemoteProtocolError, UnicodeDecodeError):
            self.handle_remote_protocol_error()
        exchange = self.cycle
        if self.idle_since is None and (exchange is None or exchange.response_complete):  # half a head, or left over
            if self._head_timer is None:
                self._head_timer = self.loop.call_later(self.header_timeout_seconds, self._head_is_late)
        elif self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def handle_events(self, event: zttp.Event) -> None:
        """What zttp found in the bytes that came."""
        next_event = self.conn.next_event
        while event is not zttp.NEED_DATA:
            kind = type(event)
            exchange = self.cycle
            if kind is zttp.Request:
                self._begin(event)  # type: ignore[arg-type]
            elif kind is zttp.Data:
                if not exchange.response_complete and exchange.feed(event.data) > HIGH_WATER_BYTES:  # type: ignore[union-attr]
                    self.flow.pause_reading()
            elif kind is zttp.EndOfMessage and exchange is not None:
                exchange.feed_end()
                if exchange.response_complete:
                    self.conn.start_next_cycle()
                    self.rest()
            event = next_event()

    def _begin(self, request: zttp.Request) -> None:
        path = request.path.decode("ascii")
        headers: Any = request.headers
        exchange = Http1Exchange(self, request)
        scope = {
            "type": "http",
            "asgi": _ASGI,
            "http_version": request.http_version.decode("ascii"),
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme,
            "method": request.method.decode("ascii"),
            "root_path": "",
            "path": unquote(path) if "%" in path else path,
            "raw_path": request.path,
            "query_string": request.query,
            "headers": headers.to_list(lowercase_names=True),
            INCOMING: exchange,
        }
        self.idle_since = None  # a pipelined request begins when the one before it is answered
        self.cycle = exchange
        task = self.loop.create_task(exchange.run(self.app, scope))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def on_response_complete(self) -> None:
        """Start the keep-alive clock, and go on with what was pipelined."""
        if self.transport.is_closing():
            return
        self.rest()
        # What is left of a body that was answered early still belongs to that request.
        if not self.cycle.more_body:
            self.conn.start_next_cycle()
            try:
                self.handle_events(self.conn.next_event())
            except (zttp.RemoteProtocolError, UnicodeDecodeError):
                self.handle_remote_protocol_error()
        exchange = self.cycle
        if exchange.response_complete or exchange.more_body:  # all that came is read
            self._ahead_bytes = 0
        self.read_on()

    def read_on(self) -> None:
        """Read more, unless there is enough for the requests to come."""
        if self._ahead_bytes <= HIGH_WATER_BYTES:
            self.flow.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock, and tell the exchange."""
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        exchange, self.cycle = self.cycle, None
        if exchange is not None:
            exchange.end()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP in the form of every other error, unless an answer is on its way already."""
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            self.transport.write(plain_answer(400, "The request is not valid HTTP."))
        self.close()

    def end_idle(self) -> None:
        """End the connection, whether or not its client has read all."""
        self.close()

    def _head_is_late(self) -> None:
        self._head_timer = None
        if self.transport.is_closing():
            return
        answered_early = self.cycle is not None and self.cycle.more_body  # its body still drips in
        if not answered_early:
            limit = self.header_timeout_seconds
            self.transport.write(plain_answer(408, f"The request's headers did not arrive within {limit:g} seconds."))
        self.close()
