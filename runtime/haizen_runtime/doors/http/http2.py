"""HTTP/2 connections that live as long as zttp lets them, and write once a turn of the event loop.

zttp bounds what one connection may do in its whole life (its defence against rapid resets, CVE-2023-44487): 4096
streams and 256 resets, after which it sends GOAWAY with ENHANCE_YOUR_CALM and every call under way fails. No setting
changes that (zttp 0.0.35, `max_streams` and `max_stream_resets` in its HTTP/2 connection). So a connection is retired
long before: GOAWAY with NO_ERROR and the highest stream id, which tells the client to open its next streams on
another connection while those under way here are answered. gRPC's clients, Go's and Envoy do so without failing a call.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.zttp_h2_impl import ZttpH2Protocol

RETIRE_AFTER_STREAMS: Final = 3072
"""Leaves the client a thousand streams to open before it has read the GOAWAY."""
RETIRE_AFTER_RESETS: Final = 96
"""Leaves room for all streams that may be open at once, 128, to be reset together."""
NO_ERROR: Final = 0
ANY_STREAM: Final = 2**31 - 1


class Http2Connection(ZttpH2Protocol):
    """One HTTP/2 connection."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._streams = 0
        self._resets = 0
        self._retired = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin, with writes gathered."""
        outbox: Any = Outbox(transport, self.loop)
        super().connection_made(outbox)

    def handle_request(self, event: Any) -> None:
        """Start a stream's request, and retire the connection in time."""
        self._streams += 1
        if self._streams >= RETIRE_AFTER_STREAMS:
            self.retire()
        super().handle_request(event)

    def handle_rst_stream(self, event: Any) -> None:
        """End a stream that was reset, and retire the connection in time."""
        self._resets += 1
        if self._resets >= RETIRE_AFTER_RESETS:
            self.retire()
        super().handle_rst_stream(event)

    def retire(self) -> None:
        """Ask the client to go on with another connection; what is under way or still comes is answered."""
        if not self._retired and not self.transport.is_closing():
            self._retired = True
            self.conn.close(NO_ERROR, ANY_STREAM)
            self.flush()


class Outbox:
    """A transport that gathers what is written in one turn of the event loop.

    uvicorn writes after each ASGI message, and a gRPC answer has three; the answers of a batch leave together, too.
    """

    __slots__ = ("_chunks", "_loop", "_transport", "get_extra_info", "is_closing", "pause_reading", "resume_reading")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._chunks: list[bytes] = []
        self.get_extra_info = transport.get_extra_info
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
            self._transport.write(b"".join(chunks) if len(chunks) > 1 else chunks[0])
