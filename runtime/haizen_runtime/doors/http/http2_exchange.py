"""One request and its answer on an HTTP/2 stream, as ASGI. It does what uvicorn's cycle does, with less per request:

no event object, no copy of a body that came in one frame, and a head that leaves together with what follows it.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

import zttp
from uvicorn.protocols.http.zttp_h2_impl import FORBIDDEN_HEADERS

from haizen_runtime.doors.http.incoming import INCOMING, Incoming

if TYPE_CHECKING:
    from collections.abc import Callable

    from haizen_runtime.doors.http.http2 import Http2Connection

log = logging.getLogger("haizen_runtime")

Message = dict[str, Any]

HIGH_WATER_BYTES: Final = 64 * 1024
"""With more of an answer held back by the client's windows, its application waits before it sends on."""
_ASGI: Final = {"version": "3.0", "spec_version": "2.3"}
_EXTENSIONS: Final[dict[str, Any]] = {"http.response.trailers": {}}


class Http2Exchange(Incoming):
    """A stream that is not at its end yet."""

    __slots__ = ("_body_sent", "_connection", "_head", "_is_head", "_started", "_stream", "_trailers", "_window")

    def __init__(self, connection: Http2Connection, request: zttp.Request) -> None:
        super().__init__(connection.loop, not request.end_stream)
        self._connection = connection
        self._stream = connection.conn.stream(request.stream_id)
        self._is_head = request.method == b"HEAD"
        self._window: asyncio.Future[None] | None = None
        """Set while the application waits for the client to take what was sent."""
        self._head: tuple[int, list[tuple[bytes, bytes]]] | None = None
        self._started = False
        self._body_sent = False
        self._trailers: list[tuple[bytes, bytes]] | None = None

    def scope(self, request: zttp.Request) -> Message:
        """ASGI's scope of the request. It refers to this exchange, which keeps no reference to it (see `run`)."""
        connection, headers, path = self._connection, request.headers, request.path.decode("ascii")
        return {
            "type": "http",
            "asgi": _ASGI,
            "http_version": "2",
            "server": connection.server,
            "client": connection.client,
            "scheme": connection.scheme,
            "method": request.method.decode("ascii"),
            "root_path": "",
            "path": unquote(path) if "%" in path else path,
            "raw_path": request.path,
            "query_string": request.query,
            "headers": headers if isinstance(headers, list) else headers.to_list(lowercase_names=True),
            "extensions": _EXTENSIONS,
            INCOMING: self,
        }

    def end(self) -> None:
        """The client is gone, or the answer is complete."""
        super().end()
        self.window_update()

    async def run(self, app: Any, scope: Message) -> None:
        """Run the application; whatever it does, the stream comes to its end.

        Exchange and scope are gone with the task, and nothing is left for the collector.
        """
        try:
            await app(scope, self.receive, self.send)
        except zttp.LocalProtocolError:
            if not self._connection.transport.is_closing():  # else zttp has ended it: the client broke the protocol
                log.exception("HTTP/2 %s failed", scope["path"][:200])
        except Exception:
            log.exception("HTTP/2 %s failed", scope["path"][:200])
        finally:
            if not self._over:
                self._abort()
                self._finish()

    def taken(self) -> None:
        """Read on, if the others on the connection hold little, too."""
        self._connection.resume_reading_if_idle()

    async def send(self, message: Any) -> None:
        """ASGI. What comes after the client has gone is dropped."""
        connection = self._connection
        if connection.flow.write_paused and not self._over:
            await connection.flow.drain()
        if self._over:
            return
        kind = message["type"]
        if kind == "http.response.body" and self._head is not None and not self._body_sent:
            more = message.get("more_body", False)
            self._send_body(message.get("body", b""), more)
            if more and self._stream.pending_bytes:
                await self._taken()
        elif kind == "http.response.start" and self._head is None:
            headers = [*connection.server_state.default_headers, *message.get("headers", ())]
            self._head = (message["status"], [pair for pair in headers if pair[0] not in FORBIDDEN_HEADERS])
            self._trailers = [] if message.get("trailers", False) else None
        elif kind == "http.response.trailers" and self._body_sent and self._trailers is not None:
            self._trailers += message["headers"]
            if not message.get("more_trailers", False):
                self._complete(self._trailers)
        else:
            raise RuntimeError(f"The ASGI message {kind} does not belong here.")

    def answer_call(
        self,
        send: Callable[..., Any],
        headers: list[tuple[bytes, bytes]],
        message: bytes,
        trailers: list[tuple[bytes, bytes]],
    ) -> bool:
        """Send head, message and trailers of a gRPC call without ASGI's messages; False when they have to go by them.

        `headers` are all that may be in an answer over HTTP/2; of `send` see `answer_at_once`.
        """
        connection = self._connection
        if send != self.send or self._head is not None or connection.flow.write_paused:
            return False
        if not self._over:
            self._head, self._started, self._body_sent = (200, headers), True, True
            stream = self._stream
            stream.send_response(200, [*connection.server_state.default_headers, *headers])
            if message:
                stream.send_data(message)
            self._complete(trailers)
        return True

    def _send_body(self, body: bytes, more: bool) -> None:
        assert self._head is not None
        stream = self._stream
        status, headers = self._head
        bodyless = self._is_head or status in (204, 304)
        if not self._started:
            self._started = True
            stream.send_response(status, headers)
        if body and not bodyless:
            stream.send_data(body)
        self._body_sent = not more
        if more:
            self._connection.flush()
        elif self._trailers is None:
            self._complete(None)

    async def _taken(self) -> None:
        """Wait while the client gives its windows no room and much is left to be sent (RFC 9113, 5.2)."""
        while not self._over and (self._stream.pending_bytes or 0) > HIGH_WATER_BYTES:
            self._window = self._connection.loop.create_future()
            try:
                await self._window
            finally:
                self._window = None

    def window_update(self) -> None:
        """The client has taken some of what was sent to it."""
        if self._window is not None and not self._window.done():
            self._window.set_result(None)

    def _complete(self, trailers: list[tuple[bytes, bytes]] | None) -> None:
        self._stream.end_message(trailers)
        self._connection.flush()
        self._finish()

    def _abort(self) -> None:
        """The application ended too early: say so if it still can be said, else reset the stream."""
        if self._connection.transport.is_closing():
            return
        if self._started:
            self._stream.reset()
        else:
            self._stream.send_response(500, [(b"content-length", b"0")])
            self._stream.end_message()
        self._connection.flush()

    def _finish(self) -> None:
        """The stream is over."""
        self._connection.on_response_complete(self._stream.stream_id)
        self.end()
