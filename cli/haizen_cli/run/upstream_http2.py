"""HTTP/2 from the gateway to one runtime process, for gRPC: one call at a time on each connection.

So a slow call holds up no other, and nothing needs to be interleaved: a connection costs little on one machine.
"""

import asyncio

import zttp

from haizen_cli.run.upstream import HIGH_WATER_BYTES, UpstreamConnection, UpstreamError

CALLS = 2048
"""How many calls a connection is used for. The runtime asks for another one after 3072."""

_OWN_HEADERS = frozenset((b"transfer-encoding", b"content-length", b"host", b"te"))
"""Headers that HTTP/2 frames by itself, or that are written anew."""


class Http2UpstreamConnection(UpstreamConnection):
    """One connection, used for one call at a time."""

    def __init__(self) -> None:
        super().__init__()
        self._http2 = zttp.Connection(zttp.CLIENT, zttp.HTTP2)
        self._parser = self._http2
        self._http2.initiate_connection()
        self._stream: zttp.Stream | None = None
        self._calls = 0
        self._going_away = False
        self._credit = asyncio.Event()

    @property
    def usable(self) -> bool:
        """Whether another call can start on this connection; reads what the runtime said since the last one."""
        try:
            while self.ready_event() is not zttp.NEED_DATA:
                continue
        except UpstreamError:
            return False
        self._unread = 0
        return not self._going_away and super().usable

    def start(self, method: bytes, target: bytes, headers: list[tuple[bytes, bytes]], body: bytes, more: bool) -> None:
        """Write the call's head and the first part of its body in one go."""
        host = next((value for name, value in headers if name == b"host"), b"localhost")
        kept = [pair for pair in headers if pair[0] not in _OWN_HEADERS]
        try:
            self._stream = self._http2.send_request(
                method, target, b"2", [(b"host", host), *kept, (b"te", b"trailers")]
            )
        except zttp.LocalProtocolError as error:
            raise UpstreamError(f"the call cannot be passed on: {error}") from error
        self._calls += 1
        self._feed(body, more)

    async def send_body(self, body: bytes, more: bool) -> None:
        """Write a further part of the body; waits while the runtime is slow to take it."""
        self._feed(body, more)
        while self._waits_for_credit() and not self._lost:
            self._credit.clear()
            await self._credit.wait()
        await self._writable.wait()

    def ready_event(self) -> object:
        """Return the next event of the call that needs no waiting, or ``zttp.NEED_DATA``."""
        while True:
            event = super().ready_event()
            self._answer_frames()
            if not self._waits_for_credit():
                self._credit.set()
            if event is zttp.CONNECTION_CLOSED:
                return event
            if isinstance(event, zttp.GoAway):
                self._going_away = True
                if event.error_code:
                    raise UpstreamError(f"the runtime ended the connection (HTTP/2 error {event.error_code})")
            elif isinstance(event, zttp.RstStream):
                raise UpstreamError(f"the runtime ended the call (HTTP/2 error {event.error_code})")
            elif not isinstance(event, (zttp.Settings, zttp.Ping, zttp.WindowUpdate)):
                return event

    def finish(self, now: float) -> bool:
        """End a call whose response is complete; returns whether the connection can serve another one."""
        self._unread = 0
        self._stream = None
        self.idle_since = now
        return not self._lost and not self._going_away and self._calls < CALLS

    def _end(self) -> None:
        super()._end()
        self._credit.set()

    def _waits_for_credit(self) -> bool:
        """Whether the runtime is slow to take the body."""
        return self._stream is not None and (self._stream.pending_bytes or 0) > HIGH_WATER_BYTES

    def _feed(self, body: bytes, more: bool) -> None:
        assert self._stream is not None
        try:
            if body:
                self._stream.send_data(body)
            if not more:
                self._stream.end_message()
        except zttp.LocalProtocolError as error:
            raise UpstreamError(f"the runtime takes no more of the call: {error}") from error
        self._write()

    def _answer_frames(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            frames = self._http2.data_to_send()
            if frames:
                self._transport.write(frames)
