"""HTTP/2 connections that live as long as zttp lets them, and write once a turn of the event loop.

zttp bounds what one connection may do in its whole life (its defence against rapid resets, CVE-2023-44487): 4096
streams and 256 resets, after which it sends GOAWAY with ENHANCE_YOUR_CALM and every call under way fails. No setting
changes that (zttp 0.0.35, `max_streams` and `max_stream_resets` in its HTTP/2 connection). So a connection is retired
long before: GOAWAY with NO_ERROR and the highest stream id, which tells the client to open its next streams on
another connection while those under way here are answered (RFC 9113, 6.8). gRPC's clients
do so without failing a call.

zttp announces the smallest windows there are, 64 KiB, so that a large tensor would take a round trip for each. It gives
credit for each DATA frame as it is read and holds a peer to no total, so larger windows can be announced beside it;
what may pile up unread is bounded by not reading on (`HIGH_WATER_BYTES`).
"""

from __future__ import annotations

import asyncio
import logging
import struct
from typing import Any, Final

import zttp
from uvicorn.protocols.http.flow_control import service_unavailable
from uvicorn.protocols.http.zttp_h2_impl import ZttpH2Protocol

from haizen_runtime.doors.http.http2_exchange import Http2Exchange
from haizen_runtime.doors.http.idle import IdleLimit
from haizen_runtime.doors.http.unread import UnreadLimit

log = logging.getLogger("haizen_runtime")

RETIRE_AFTER_STREAMS: Final = 3072
"""Leaves the client a thousand streams to open before it has read the GOAWAY."""
RETIRE_AFTER_RESETS: Final = 96
"""Leaves room for all streams that may be open at once, 128, to be reset together."""
STREAM_WINDOW_BYTES: Final = 4 * 1024 * 1024
"""What a client may send of one request before it is told to go on."""
CONNECTION_WINDOW_BYTES: Final = 16 * 1024 * 1024
"""The same for all requests of a connection together."""
HIGH_WATER_BYTES: Final = 1024 * 1024
"""With more of one request unread, nothing more is read from its connection."""
NO_ERROR: Final = 0
ANY_STREAM: Final = 2**31 - 1


WINDOWS: Final = b"".join((
    b"\0\0\x06\x04\0\0\0\0\0", struct.pack(">HI", 4, STREAM_WINDOW_BYTES),
    b"\0\0\x04\x08\0\0\0\0\0", struct.pack(">I", CONNECTION_WINDOW_BYTES - 65535),
))  # fmt: skip
"""SETTINGS with INITIAL_WINDOW_SIZE, and WINDOW_UPDATE of the connection (RFC 9113, 6.5 and 6.9)."""


SHARED_STREAMS: Final = 32
"""Streams at once on one connection where several processes serve: clients that want more open another connection,
which goes to another process (Envoy's and Go's do; gRPC's C library waits instead)."""


def streams_frame(most: int) -> bytes:
    """SETTINGS with MAX_CONCURRENT_STREAMS."""
    return b"\0\0\x06\x04\0\0\0\0\0" + struct.pack(">HI", 3, most)


class Http2Connection(UnreadLimit, IdleLimit, ZttpH2Protocol):
    """One HTTP/2 connection. Its streams are `Http2Exchange`s, which do less than uvicorn's cycles."""

    cycles: dict[int, Any]
    first_frames = WINDOWS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._streams = 0
        self._resets = 0
        self._retired = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin, with writes gathered."""
        outbox: Any = Outbox(transport, self.loop)
        super().connection_made(outbox)
        outbox.write(self.first_frames)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell every exchange."""
        exchanges = list(self.cycles.values())
        self.cycles.clear()
        for exchange in exchanges:
            exchange.end()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse; what is no HTTP/2 ends the connection."""
        self.idle_since = None
        try:
            self.conn.receive_data(data)
            self.handle_events()
        except zttp.RemoteProtocolError as error:
            log.warning("A client broke HTTP/2: %s", error)
            self.flush()
            self.close()
            return
        self.flush()
        if not self.cycles:
            self.rest()

    def handle_events(self) -> None:
        """What zttp found in the bytes that came."""
        next_event, cycles = self.conn.next_event, self.cycles
        while (event := next_event()) is not zttp.NEED_DATA:
            kind = type(event)
            if kind is zttp.Data:
                exchange = cycles.get(event.stream_id)  # type: ignore[union-attr]
                if exchange is not None and exchange.feed(event.data) > HIGH_WATER_BYTES:  # type: ignore[union-attr]
                    self.flow.pause_reading()
            elif kind is zttp.EndOfMessage:
                exchange = cycles.get(event.stream_id)  # type: ignore[union-attr]
                if exchange is not None:
                    exchange.feed_end()
            elif kind is zttp.Request:
                self.handle_request(event)  # type: ignore[arg-type]
            elif kind is zttp.WindowUpdate:
                self.handle_window_update(event.stream_id)  # type: ignore[union-attr]
            elif kind is zttp.RstStream:
                self.handle_rst_stream(event)  # type: ignore[arg-type]
            elif kind is zttp.GoAway:
                self.shutdown_requested = True
                if not cycles:
                    self._close_connection()

    def handle_request(self, event: zttp.Request) -> None:
        """Start a stream's request, and retire the connection in time."""
        self._streams += 1
        if self._streams >= RETIRE_AFTER_STREAMS:
            self.retire()
        exchange = Http2Exchange(self, event)
        self.cycles[event.stream_id] = exchange
        app = service_unavailable if self.shutdown_requested else self.app
        task = self.loop.create_task(exchange.run(app, exchange.scope(event)))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def handle_rst_stream(self, event: zttp.RstStream) -> None:
        """End a stream that was reset, and retire the connection in time."""
        self._resets += 1
        if self._resets >= RETIRE_AFTER_RESETS:
            self.retire()
        exchange = self.cycles.pop(event.stream_id, None)
        if exchange is not None:
            exchange.end()
            self.on_stream_closed()

    def on_stream_closed(self) -> None:
        """Read on if the stream was what held that up; with the last one the connection is idle."""
        if self.transport.is_closing():
            return
        if self.flow.read_paused:
            self.resume_reading_if_idle()
        if not self.cycles:
            if self.shutdown_requested:
                self._close_connection()
            else:
                self.rest()

    def end_idle(self) -> None:
        """Say goodbye, and end the connection."""
        self._close_connection()

    def _close_connection(self) -> None:
        """uvicorn: say goodbye, and close; the client may still have something to read."""
        super()._close_connection()
        self.watch_rest()

    def handle_window_update(self, stream_id: int) -> None:
        """Let the exchanges go on whose answers wait for room in the client's windows: one's, or the connection's."""
        exchange = self.cycles.get(stream_id)
        for each in [exchange] if exchange is not None else list(self.cycles.values()) if stream_id == 0 else []:
            each.window_update()

    def pause_writing(self) -> None:
        """Read nothing either: answers to PING and SETTINGS know no window, and would pile up without end."""
        super().pause_writing()
        self.flow.pause_reading()

    def resume_writing(self) -> None:
        """Go on with both."""
        super().resume_writing()
        self.resume_reading_if_idle()

    def resume_reading_if_idle(self) -> None:
        """Read on once no exchange holds too much and the client reads, too."""
        if (
            self.flow.read_paused
            and not self.flow.write_paused
            and all(each.held <= HIGH_WATER_BYTES for each in self.cycles.values())
        ):
            self.flow.resume_reading()

    def retire(self) -> None:
        """Ask the client to go on with another connection; what is under way or still comes is answered."""
        if not self._retired and not self.transport.is_closing():
            self._retired = True
            self.conn.close(NO_ERROR, ANY_STREAM)
            self.flush()


class Outbox:
    """A transport that gathers what is written in one turn of the event loop.

    A gRPC answer is written in parts, and the answers of a batch leave together.
    """

    __slots__ = (
        "_chunks", "_loop", "_transport", "abort", "get_extra_info", "get_write_buffer_size", "is_closing",
        "pause_reading", "resume_reading",
    )  # fmt: skip

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._chunks: list[bytes] = []
        self.abort = transport.abort
        self.get_extra_info = transport.get_extra_info
        self.get_write_buffer_size = transport.get_write_buffer_size
        self.is_closing = transport.is_closing
        self.pause_reading = transport.pause_reading
        self.resume_reading = transport.resume_reading

    def write(self, data: bytes) -> None:
        """Write soon."""
        if not data:
            return
        if not self._chunks:
            self._loop.call_soon(self._flush)
        self._chunks.append(data)

    def close(self) -> None:
        """Write what is left, and close."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._chunks:
            chunks, self._chunks = self._chunks, []
            if not self._transport.is_closing():
                self._transport.write(b"".join(chunks) if len(chunks) > 1 else chunks[0])
