"""A worker process: loads model.py and answers the server over one socket until that is closed.

Started by the server only: `python -P -m haizen_runtime.workers.main DESCRIPTOR SERVER_PID`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import Any, Final

from haizen_runtime.observing.logs import configure
from haizen_runtime.observing.printed import print_to_log
from haizen_runtime.protocol.errors import StartError
from haizen_runtime.workers.channel import BrokenChannel, receive, send
from haizen_runtime.workers.failures import described, sendable
from haizen_runtime.workers.served import ServedModel, serve_code
from haizen_runtime.workers.tensors import pack, unpack

log = logging.getLogger("haizen_runtime.workers")

PR_SET_PDEATHSIG: Final = 1


def main(arguments: list[str]) -> int:
    """Serve until the server is gone or says stop."""
    sock = socket.socket(fileno=int(arguments[0]))
    sock.set_inheritable(False)
    die_with_server(int(arguments[1]))
    # The server decides when this process ends: on a signal to the whole container it finishes what it has.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    first = receive(sock)
    if first is None:
        return 0
    order = first[0]
    configure(str(order["log_level"]), str(order["log_format"]), {"model": order["name"], "worker": os.getpid()})
    print_to_log()
    return asyncio.run(Worker(sock, Path(order["path"]), order["name"]).run())


def die_with_server(server_pid: int) -> None:
    """End together with the server, however it ends, also when model code never lets go of the interpreter."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != server_pid:  # it was gone before this could be asked for
        os._exit(0)


class Worker:
    """The model on the event loop of the main thread, the socket on a thread of its own."""

    def __init__(self, sock: socket.socket, path: Path, name: str) -> None:
        self._sock = sock
        self._path = path
        self._name = name
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()

    async def run(self) -> int:
        """Load, answer, stop; returns the exit code."""
        loop = asyncio.get_running_loop()
        try:
            served = serve_code(self._path, self._name)
            await served.load()
            self._tell({"op": "loaded", **served.described()})
        except StartError as error:
            log.error("the model cannot be loaded", exc_info=error.__cause__ or error)
            self._tell({"op": "failed", "message": sendable(error.message)})
            return 1
        threading.Thread(target=self._read, args=(loop, served), name="socket", daemon=True).start()
        await self._stopping.wait()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await served.stop()
        return 0

    def _read(self, loop: asyncio.AbstractEventLoop, served: ServedModel) -> None:
        """Hand requests to the event loop. The end of the socket is the end of the server, and so of this process."""
        try:
            while (received := receive(self._sock)) is not None:
                message, descriptor = received
                if message["op"] == "infer":
                    loop.call_soon_threadsafe(self._begin, served, message, descriptor)
                else:
                    loop.call_soon_threadsafe(self._stopping.set)
        except (OSError, BrokenChannel):
            pass
        os._exit(0)

    def _begin(self, served: ServedModel, message: dict[str, Any], descriptor: int | None) -> None:
        task = asyncio.ensure_future(self._answer(served, message, descriptor))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, served: ServedModel, message: dict[str, Any], descriptor: int | None) -> None:
        number = message["id"]
        try:
            inputs = unpack(message["inputs"], descriptor, writable=True)
            tensors, segment = pack(await served.infer(inputs, message["outputs"]))
            self._tell({"op": "answer", "id": number, "outputs": tensors}, segment)
        except BaseException as error:  # also a cancellation: whoever waits is told
            status, text = described(error)
            log.log(logging.ERROR if status >= 500 else logging.INFO, "a request failed: %s", text,
                    exc_info=error if status >= 500 else None)  # fmt: skip
            self._tell({"op": "error", "id": number, "status": status, "message": text})

    def _tell(self, message: dict[str, Any], descriptor: int | None = None) -> None:
        with contextlib.suppress(OSError):  # the server is gone: the thread that reads ends this process
            send(self._sock, message, descriptor)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
