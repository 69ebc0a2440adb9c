"""Runs an ASGI application on this machine's loop and port, without taking the process's signals."""

import asyncio
import contextlib
import errno
import socket
from collections.abc import Generator
from typing import Any

import uvicorn

from haizen_cli.errors import CliError
from haizen_runtime.doors.http.connections import connection_class
from haizen_runtime.settings import Settings

DEFAULT_PORT = 8080
"""Where the gateway listens when the user names no port and it is free."""

TRIED_PORTS = 20
"""How many ports from the default one on are tried before any free one is taken."""


class QuietServer(uvicorn.Server):
    """uvicorn without its signal handlers: the caller ends it. ``listening`` is set once it answers."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to listen and say so."""
        await super().startup(sockets)
        self.listening.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave the signals alone."""
        yield


class LocalServer:
    """An ASGI server (HTTP/1.1 and h2c on one port) inside the running loop."""

    def __init__(self, app: Any, listener: socket.socket) -> None:
        config = uvicorn.Config(
            app,
            http=connection_class(Settings()),
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            log_level="error",
            server_header=False,
            date_header=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=5,
        )
        self._server = QuietServer(config)
        self._listener = listener
        self._task: asyncio.Task[None] | None = None
        self.port: int = listener.getsockname()[1]

    async def start(self) -> None:
        """Start to answer."""
        self._task = asyncio.create_task(self._server.serve(sockets=[self._listener]), name="gateway")
        started = asyncio.create_task(self._server.listening.wait())
        await asyncio.wait({self._task, started}, return_when=asyncio.FIRST_COMPLETED)
        started.cancel()
        if self._task.done():
            self._task.result()

    async def stop(self) -> None:
        """Stop accepting, finish what is in flight (up to five seconds), close."""
        self._server.should_exit = True
        if self._task is not None:
            await self._task
        self._listener.close()


def listen(host: str, port: int | None) -> socket.socket:
    """Open the gateway's socket.

    Args:
        host: The address to listen on.
        port: The port; 0 takes any free one; None takes 8080, or the next free one when 8080 is in use.

    Raises:
        CliError: the address or the port that the user named cannot be used.
    """
    candidates = [port] if port is not None else [*range(DEFAULT_PORT, DEFAULT_PORT + TRIED_PORTS), 0]
    problem: OSError | None = None
    for candidate in candidates:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        # The protocol is named because asyncio sets TCP_NODELAY on sockets that name it only; without it each answer
        # of two writes waits 40 ms for a delayed acknowledgement.
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, candidate))
            listener.listen(2048)
        except OSError as error:
            listener.close()
            problem = error
            if error.errno != errno.EADDRINUSE:
                break
        else:
            listener.setblocking(False)
            return listener
    assert problem is not None
    in_use = problem.errno == errno.EADDRINUSE
    raise CliError(
        f"cannot listen on {host}:{port if port is not None else DEFAULT_PORT}: {problem.strerror}",
        fix="Another program has this port; name another one with --port, or --port 0 for any free one."
        if in_use
        else "Name an address of this machine with --host (127.0.0.1 is this machine only).",
    )


def free_port(host: str = "127.0.0.1") -> int:
    """Return a port that is free now, for a runtime process that takes a number rather than a socket."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port
