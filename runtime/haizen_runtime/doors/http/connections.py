"""Connections: HTTP/1.1 and HTTP/2 with a limit on their number and on how long a request's head may take to arrive."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.auto_zttp_impl import AutoZttpProtocol

from haizen_runtime.doors.http.http1 import Http1Connection
from haizen_runtime.doors.http.http2 import SHARED_STREAMS, WINDOWS, Http2Connection, streams_frame
from haizen_runtime.doors.http.plain_answers import plain_answer

if TYPE_CHECKING:
    from haizen_runtime.settings import Settings


def connection_class(settings: Settings) -> type[asyncio.Protocol]:
    """The protocol of a new connection, HTTP/1.1 or h2c by its first bytes."""
    header_timeout, limit = settings.header_timeout_seconds, settings.max_connections
    write_timeout = settings.write_timeout_seconds
    streams = settings.max_connection_streams or (SHARED_STREAMS if settings.processes != 1 else 0)

    class Http1(Http1Connection):
        header_timeout_seconds = header_timeout
        write_timeout_seconds = write_timeout

    class Http2(Http2Connection):
        write_timeout_seconds = write_timeout
        first_frames = WINDOWS + streams_frame(streams) if streams else WINDOWS

    class Connection(AutoZttpProtocol):
        refused = False

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            if limit and len(self.connections) >= limit:
                self.refused = True
                transport.write(plain_answer(503, f"All {limit} connections are in use; try again later."))
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
