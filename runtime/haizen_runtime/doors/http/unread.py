"""Connections of clients that send and do not read: what is sent to them would pile up here for ever."""

from __future__ import annotations

import asyncio


class UnreadLimit(asyncio.Protocol):
    """Ends a connection once its client has read nothing for too long while something waits for it."""

    write_timeout_seconds: float
    loop: asyncio.AbstractEventLoop
    transport: asyncio.Transport
    _write_timer: asyncio.TimerHandle | None = None

    def pause_writing(self) -> None:
        """The transport's buffer is full: the client does not keep up."""
        super().pause_writing()
        if self._write_timer is None:
            self._write_timer = self.loop.call_later(self.write_timeout_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """The client has read on."""
        self._forget()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        self._forget()
        super().connection_lost(exc)

    def _forget(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None
