"""Connections of clients that send and do not read: what is sent to them would pile up here for ever."""

from __future__ import annotations

import asyncio


class UnreadLimit(asyncio.Protocol):
    """Ends a connection once its client has read nothing for too long while something waits for it.

    A transport that is closed first sends what it holds, and waits for its client with that as long as it takes. So a
    closed connection is watched as well, however little is left.
    """

    write_timeout_seconds: float
    loop: asyncio.AbstractEventLoop
    transport: asyncio.Transport
    _write_timer: asyncio.TimerHandle | None = None
    _unread_bytes: int = 0
    """What waited when the clock was started."""

    def close(self) -> None:
        """End the connection when its client has read what waits for it."""
        self.transport.close()
        self.watch_rest()

    def watch_rest(self) -> None:
        """Start the clock for what is left on a connection that is closed, if anything is."""
        if self.transport.get_write_buffer_size():
            self._watch()

    def shutdown(self) -> None:
        """uvicorn: the process ends; an idle connection is closed now."""
        super().shutdown()  # type: ignore[misc]  # the class beside this one has it
        if self.transport.is_closing():
            self.watch_rest()

    def eof_received(self) -> None:
        """The client sends no more: the transport closes itself."""
        super().eof_received()
        self.watch_rest()

    def pause_writing(self) -> None:
        """The transport's buffer is full: the client does not keep up."""
        super().pause_writing()
        self._watch()

    def resume_writing(self) -> None:
        """The client has read on."""
        if not self.transport.is_closing():
            self._forget()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        super().connection_lost(exc)
        self._forget()

    def _watch(self) -> None:
        if self._write_timer is None:
            self._unread_bytes = self.transport.get_write_buffer_size()
            self._write_timer = self.loop.call_later(self.write_timeout_seconds, self._look_if_read)

    def _look_if_read(self) -> None:
        """End the connection unless some of what waited is gone: a slow client may take its time for a large answer."""
        self._write_timer = None
        if self.transport.get_write_buffer_size() >= self._unread_bytes:
            self.transport.abort()
        else:
            self._watch()

    def _forget(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None
