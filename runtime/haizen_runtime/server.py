"""uvicorn with zttp on one port, with signals and the drain in our own hands."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import time
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import uvicorn.server
from uvicorn.config import Config

from haizen_runtime.doors.chain import surrounded
from haizen_runtime.doors.http.connections import connection_class
from haizen_runtime.doors.http.http2 import Http2Connection

if TYPE_CHECKING:
    import ssl

    from haizen_runtime.doors.http.app import HttpApp
    from haizen_runtime.observing.tracing import Tracing
    from haizen_runtime.settings import Settings

log = logging.getLogger("haizen_runtime")

FORCED_EXIT_CODE = 128 + signal.SIGTERM


def tls_context(settings: Settings) -> ssl.SSLContext | None:
    """What the port listens with; None for plain text. Raises InvalidConfiguration."""
    if not settings.tls_cert_file:
        return None
    from haizen_runtime.tls import ServerTls

    return ServerTls(settings.tls_cert_file, settings.tls_key_file, settings.tls_client_ca_file).context


class Server(uvicorn.server.Server):
    """uvicorn's server without its signal handlers, which close the listening sockets at once."""

    def __init__(self, app: HttpApp, settings: Settings, tracing: Tracing | None = None) -> None:
        """Raises InvalidConfiguration when API keys or certificates cannot be read."""
        # uvicorn types an ASGI app by its own TypedDicts; ours takes any mapping.
        application: Any = surrounded(app, settings, tracing)
        tls = tls_context(settings)
        super().__init__(
            Config(
                application,
                http=connection_class(settings),
                ws="none",
                loop="none",
                lifespan="off",
                interface="asgi3",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_keep_alive=settings.keep_alive_timeout_seconds,
                ssl_context_factory=None if tls is None else lambda config, default: tls,
            )
        )
        self.app = app
        self.settings = settings
        self._signals = 0
        self._drain: asyncio.Task[None] | None = None

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Handle SIGTERM and SIGINT by draining; the second one ends the process at once."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal, number)
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)

    def _on_signal(self, number: signal.Signals) -> None:
        self._signals += 1
        if self._signals > 1:
            log.warning("second signal: ending at once")
            os._exit(FORCED_EXIT_CODE)
        self.app.plane.draining = True
        self.app.responder.draining = True
        for connection in list(self.server_state.connections):
            if isinstance(connection, Http2Connection):  # gRPC's clients keep one as long as they can
                connection.retire()
        quiet = 0.0 if number is signal.SIGINT else self.settings.drain_quiet_seconds
        log.info("%s: draining, at most %gs", number.name, self.settings.drain_timeout_seconds)
        self._drain = asyncio.ensure_future(self._drain_then_exit(quiet))

    async def _drain_then_exit(self, quiet_seconds: float) -> None:
        """Keep accepting until no request came for a while (queue-proxy and Envoy need that time), then close."""
        asked = time.monotonic()
        end = asked + self.settings.drain_timeout_seconds
        while (now := time.monotonic()) < end:
            waited = now - max(asked, self.app.last_request)
            siblings = self.app.siblings
            if waited >= quiet_seconds and self.app.in_flight == 0 and not (siblings and siblings.busy):
                break
            await asyncio.sleep(min(0.05, max(end - now, 0.001)))
        self.app.plane.waiting.close()
        self.config.timeout_graceful_shutdown = max(1, int(end - time.monotonic()))
        self.should_exit = True
