"""The other processes on the port, as one of them sees them: through the supervisor."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import TYPE_CHECKING, Final

from haizen_runtime.processes.peer import Message, Peer
from haizen_runtime.processes.sums import Family

if TYPE_CHECKING:
    from haizen_runtime.doors.http.app import HttpApp
    from haizen_runtime.server import Server

TICK_SECONDS: Final = 0.1
"""How often the supervisor is told what has changed."""
CLOSE_ON_EXEC: Final = getattr(socket, "MSG_CMSG_CLOEXEC", 0)


class Siblings:
    """Takes connections from the supervisor, tells it what there is, and asks it for what concerns all processes."""

    def __init__(self, control: socket.socket, connections: socket.socket) -> None:
        self._connections = connections
        self._peer = Peer(control, {"state": self._state, "apply": self._apply, "snapshot": self._snapshot})
        self.busy = False
        """Whether another process still answers requests, during the drain: all accept until none does."""
        self._received = 0
        self._adopting: set[asyncio.Task[object]] = set()
        self._background: list[asyncio.Task[None]] = []

    async def join(self, app: HttpApp, server: Server) -> None:
        """Begin once the server is up."""
        self._app, self._server = app, server
        app.plane.siblings_ready = False
        app.plane.changes = self
        app.siblings = self
        reader = await self._peer.open()
        while not server.started:  # noqa: ASYNC110  # a turn or two of the event loop
            await asyncio.sleep(0)
        self._connections.setblocking(False)
        asyncio.get_running_loop().add_reader(self._connections, self._adopt)
        self._background = [asyncio.ensure_future(self._follow(reader)), asyncio.ensure_future(self._report())]

    async def load(self, name: str) -> None:
        """Load in every process. Raises RequestError."""
        self._app.plane.registry.get(name)
        await self._peer.ask("change", verb="load", name=name)

    async def unload(self, name: str) -> None:
        """Unload in every process. Raises RequestError."""
        self._app.plane.registry.get(name)
        await self._peer.ask("change", verb="unload", name=name)

    async def scrape(self, own: list[Family]) -> list[Family]:
        """The metrics of all processes together."""
        families: list[Family] = (await self._peer.ask("scrape", families=own))["families"]
        return families

    def _adopt(self) -> None:
        """Take a connection over."""
        try:
            data, descriptors, _, _ = socket.recv_fds(self._connections, 1, 1, CLOSE_ON_EXEC)
        except BlockingIOError:
            return
        if not data:  # the supervisor is gone
            asyncio.get_running_loop().remove_reader(self._connections)
        for descriptor in descriptors:
            self._received += 1
            task: asyncio.Task[object] = asyncio.ensure_future(self._serve(socket.socket(fileno=descriptor)))
            self._adopting.add(task)
            task.add_done_callback(self._adopted)

    async def _serve(self, connection: socket.socket) -> None:
        """What the event loop does with a connection that it has accepted itself."""
        loop, server, config = asyncio.get_running_loop(), self._server, self._server.config

        def protocol() -> asyncio.Protocol:
            made: asyncio.Protocol = config.http_protocol_class(  # type: ignore[call-arg]
                config=config, server_state=server.server_state, app_state=server.lifespan.state, _loop=loop
            )
            return made

        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await loop.connect_accepted_socket(protocol, connection, ssl=config.ssl)

    def _adopted(self, task: asyncio.Task[object]) -> None:
        self._adopting.discard(task)
        if not task.cancelled():
            task.exception()  # a client that left, or whose TLS failed, is nobody's error

    async def _follow(self, reader: asyncio.StreamReader) -> None:
        """Listen to the supervisor. Without it nobody gives connections: end with it."""
        await self._peer.read(reader)
        os._exit(1)

    async def _report(self) -> None:
        told: Message = {}
        while True:
            now = {
                "open": len(self._server.server_state.connections) + len(self._adopting),
                "received": self._received,
                "ready": self._app.plane.ready_here,
                "last": self._app.last_request,
                "busy": self._app.in_flight > 0 if self._app.plane.draining else None,
            }
            if now != told:
                told = now
                self._peer.tell("state", **now)
            await asyncio.sleep(TICK_SECONDS)

    async def _state(self, message: Message) -> None:
        self._app.plane.siblings_ready = message["ready"]
        self.busy = message["busy"]
        # The drain ends when no process had a request for a while; their clocks are one.
        self._app.last_request = max(self._app.last_request, message["last"])

    async def _apply(self, message: Message) -> None:
        repository = self._app.plane.repository
        await (repository.load if message["verb"] == "load" else repository.unload)(message["name"])

    async def _snapshot(self, message: Message) -> Message:
        from haizen_runtime.doors.http.status import exposition

        return {"families": (await exposition()).snapshot(self._app)}
