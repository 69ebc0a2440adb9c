"""One request and its answer on an HTTP/1.1 connection, as ASGI. It does what uvicorn's cycle does, with less per
request: no event object, no copy of a body that came in one piece, a head that leaves with what follows it.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

import zttp

from haizen_runtime.doors.http.incoming import Incoming

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from haizen_runtime.doors.http.http1 import Http1Connection

log = logging.getLogger("haizen_runtime")

CHUNKED: Final = (b"transfer-encoding", b"chunked")
_UNTOLD: Final = -1
_NO_BODY: Final = -2


class Http1Exchange(Incoming):
    """A request that is not at its end yet."""

    __slots__ = (
        "_connection", "_continue", "_head", "_is_head", "_left", "keep_alive", "response_complete", "response_started",
    )  # fmt: skip

    def __init__(self, connection: Http1Connection, request: zttp.Request) -> None:
        super().__init__(connection.loop, not request.end_stream)
        self._connection = connection
        self._continue = request.expect_continue
        self._head: tuple[int, list[tuple[bytes, bytes]]] | None = None
        self._left = 0
        """Bytes of the body still to be sent by the head's content-length; or that it named none, or none is sent."""
        self._is_head = request.method == b"HEAD"
        self.keep_alive = True
        self.response_started = False
        """Whether the head has left."""
        self.response_complete = False

    @property
    def more_body(self) -> bool:
        """Whether the client has not sent all yet."""
        return self._more

    async def run(self, app: Any, scope: Mapping[str, Any]) -> None:
        """Run the application; whatever it does, the request comes to its end.

        The scope refers to this exchange, which therefore keeps no reference to it: both are gone with the task, and
        nothing is left for the collector.
        """
        try:
            await app(scope, self.receive, self.send)
        except Exception:
            log.exception("%s %s failed", scope["method"], scope["path"][:200])
        finally:
            if not self._over:
                self._abort()

    def expect(self) -> None:
        """Ask a client that waits to be asked for its body, and read on."""
        if self._continue:
            self._continue = False
            if not self.response_started and not self._connection.transport.is_closing():
                self._connection.conn.send_informational(100)
                self._connection.transport.write(self._connection.conn.data_to_send())
        self._connection.read_on()

    def taken(self) -> None:
        """Read on."""
        self._connection.read_on()

    async def send(self, message: Mapping[str, Any]) -> None:
        """ASGI. What comes after the client has gone is dropped."""
        connection = self._connection
        if connection.flow.write_paused and not self._over:
            await connection.flow.drain()
        kind = message["type"]
        if kind == "http.response.body" and self._head is not None:
            if self.response_complete:
                raise RuntimeError("The answer is complete already.")
            if not self._over:
                self._send_body(message.get("body", b""), message.get("more_body", False))
        elif kind == "http.response.start" and self._head is None:
            self._head = (message["status"], [*connection.server_state.default_headers, *message["headers"]])
        else:
            raise RuntimeError(f"The ASGI message {kind} does not belong here.")

    def answer_at_once(
        self, send: Callable[..., Any], status: int, headers: list[tuple[bytes, bytes]], body: bytes
    ) -> bool:
        """Head and body, unless the client does not keep up, or somebody else wants to see them first."""
        connection = self._connection
        if send != self.send or self._head is not None or connection.flow.write_paused:
            return False
        if not self._over:
            self._head = (status, [*connection.server_state.default_headers, *headers])
            self._send_body(body, False)
        return True

    def _send_body(self, body: bytes, more: bool) -> None:
        connection = self._connection
        conn = connection.conn
        if not self.response_started:
            self._send_head()
        if body and self._left != _NO_BODY:
            if self._left != _UNTOLD:
                self._left -= len(body)
                if self._left < 0:
                    raise RuntimeError("The answer is longer than its content-length.")
            conn.send_data(body)
        if more:
            connection.transport.write(conn.data_to_send())
            return
        if self._left > 0:
            raise RuntimeError("The answer is shorter than its content-length.")
        conn.end_message()
        connection.transport.write(conn.data_to_send())
        self.response_complete = True
        if not self.keep_alive or conn.should_close():
            connection.close()
        self.end()
        connection.on_response_complete()

    def _send_head(self) -> None:
        assert self._head is not None
        status, headers = self._head
        self.response_started, self._continue = True, False
        self._left = _UNTOLD
        if self._is_head or status in (204, 304):
            self._left = _NO_BODY
        else:
            for name, value in headers:
                if name == b"content-length":
                    self._left = int(value)
                    break
            else:
                headers = [*headers, CHUNKED]
        self._connection.conn.send_response(status, headers)

    def _abort(self) -> None:
        """The application ended too early: say so if it still can be said, else end the connection."""
        connection = self._connection
        if connection.transport.is_closing():
            return
        if self.response_started:
            connection.close()
            return
        self._head = (500, [(b"content-length", b"0"), (b"connection", b"close")])
        self._send_body(b"", False)
