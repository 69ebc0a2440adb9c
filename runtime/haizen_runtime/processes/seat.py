"""One serving process as the supervisor sees it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import Final

from haizen_runtime.engine.daemons import on_daemon_thread
from haizen_runtime.processes.peer import Handler, Peer
from haizen_runtime.processes.placing import Load
from haizen_runtime.processes.sums import Family
from haizen_runtime.settings import Settings

LENGTH: Final = struct.Struct("<I")
"""Before the settings, which are the first that a process is told."""


class Seat:
    """A spawned process, the line to it, and the socket over which it gets its connections.

    Made on the main thread: Linux ends the process together with the thread that started it (PR_SET_PDEATHSIG).
    """

    def __init__(self, settings: Settings, handlers: Mapping[str, Handler]) -> None:
        """Start it. Raises OSError when there is no memory or no process number left."""
        control, theirs = socket.socketpair()
        self._connections, their_connections = socket.socketpair()
        with theirs, their_connections:
            self.process = subprocess.Popen(  # noqa: S603  # this very interpreter
                [
                    sys.executable, "-P", "-m", "haizen_runtime.processes.child", str(theirs.fileno()),
                    str(their_connections.fileno()), str(os.getpid()),
                ],
                pass_fds=[theirs.fileno(), their_connections.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # a terminal's Ctrl-C reaches the supervisor alone, which passes it on
            )  # fmt: skip
        self._connections.setblocking(False)
        body = json.dumps(asdict(settings)).encode()
        with contextlib.suppress(OSError):  # it is gone already: the wait for its end will tell
            control.sendall(LENGTH.pack(len(body)) + body)
        self.load = Load()
        self.last_request = 0.0
        self.busy = False
        """Whether it still answers requests during the drain; until it has said so, it is taken to."""
        self.heard = False
        """Whether it has said anything yet."""
        self.told: tuple[bool, float, bool] | None = None
        """What it knows of all together: whether they are ready, when the last request came, and if others are busy."""
        self.can_answer = False
        self.was_ready = False
        self.owed: dict[str, str] = {}
        """Loads and unloads, by name, that all others were told of while it was starting."""
        self.leaving = False
        """Whether it was asked to end."""
        self.failure: tuple[str, str] | None = None
        """Why it cannot start: the class of the error and its message."""
        self.metrics: list[Family] = []
        """What it counted when it was last asked."""
        self.peer = Peer(control, handlers)

    async def run(self) -> int:
        """Listen to it until it ends; returns its exit code, negative for a signal."""
        reading = asyncio.ensure_future(self.peer.read(await self.peer.open()))
        code = await on_daemon_thread("wait", self.process.wait)
        await asyncio.wait((reading,), timeout=1.0)  # its last words may still be on their way
        reading.cancel()
        self.peer.close()
        self._connections.close()
        return code

    def give(self, connection: socket.socket) -> bool:
        """Hand a connection over; False when it cannot take it now."""
        try:
            socket.send_fds(self._connections, [b"c"], [connection.fileno()])
        except OSError:  # its end, or more connections on their way than the kernel keeps
            return False
        self.load.handed += 1
        return True

    def leave(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Let it answer what it has taken and end. It is asked once: a second signal would end it at once.

        New connections go to others from now on, not only when it says that it drains.
        """
        if not self.leaving:
            self.leaving = True
            self.load.ready = False
            self.process.send_signal(number)
