"""Connections on which nothing happens for a while: their clock is one timer a connection, not one a request.

The timer looks, when it is due, how long the connection has been idle. Setting and cancelling one for each request
would cost more than a small answer.
"""

from __future__ import annotations

import asyncio


class IdleLimit(asyncio.Protocol):
    """Ends a connection that has been idle for `timeout_keep_alive` seconds."""

    timeout_keep_alive: int
    loop: asyncio.AbstractEventLoop
    transport: asyncio.Transport
    idle_since: float | None = None
    """When the connection had nothing to do any more; None while something is under way."""
    _idle_timer: asyncio.TimerHandle | None = None

    def rest(self) -> None:
        """Nothing is under way: from now on the connection is idle."""
        self.idle_since = self.loop.time()
        if self._idle_timer is None:
            self._idle_timer = self.loop.call_later(self.timeout_keep_alive, self._look_if_idle)

    def end_idle(self) -> None:
        """End the connection."""
        self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None
        super().connection_lost(exc)

    def _look_if_idle(self) -> None:
        """End a connection on which nothing came for long enough; else look again when that could be."""
        self._idle_timer = None
        since = self.idle_since
        if since is None or self.transport.is_closing():
            return
        end = since + self.timeout_keep_alive
        if self.loop.time() >= end:
            self.end_idle()
        else:
            self._idle_timer = self.loop.call_at(end, self._look_if_idle)
