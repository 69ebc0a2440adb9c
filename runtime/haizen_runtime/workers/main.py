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
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from haizen_runtime.engine.call_details import ANSWER_DETAILS, CALL_DETAILS
from haizen_runtime.observing.logs import configure
from haizen_runtime.observing.printed import print_to_log
from haizen_runtime.protocol.errors import StartError
from haizen_runtime.workers.cancelling import CancellableCall, Computation
from haizen_runtime.workers.channel import BrokenChannel, receive, send
from haizen_runtime.workers.emitting import Emission
from haizen_runtime.workers.failures import NOT_IMPLEMENTED, described, sendable
from haizen_runtime.workers.lifeline import die_with_parent
from haizen_runtime.workers.limits import WorkerLimits
from haizen_runtime.workers.served import ServedModel, serve_code
from haizen_runtime.workers.tensors import bytes_of, pack, unpack

if TYPE_CHECKING:
    from haizen_runtime.workers.traces import Traces

log = logging.getLogger("haizen_runtime.workers")

Array = np.ndarray[Any, Any]
Run = Callable[[Mapping[str, Array], Sequence[str] | None], Coroutine[Any, Any, dict[str, Array]]]


def main(arguments: list[str]) -> int:
    """Serve until the server is gone or says stop."""
    sock = socket.socket(fileno=int(arguments[0]))
    sock.set_inheritable(False)
    die_with_parent(int(arguments[1]))
    # The server decides when this process ends: on a signal to the whole container it finishes what it has.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    first = receive(sock)
    if first is None:
        return 0
    order = first[0]
    configure(str(order["log_level"]), str(order["log_format"]), {"model": order["name"], "worker": os.getpid()})
    print_to_log()
    limits = WorkerLimits(**order["limits"])
    return asyncio.run(Worker(sock, Path(order["path"]), order["name"], order["traced"], limits).run())


class Worker:
    """The model on the event loop of the main thread, the socket on a thread of its own."""

    def __init__(self, sock: socket.socket, path: Path, name: str, traced: bool, limits: WorkerLimits) -> None:
        self._sock = sock
        self._path = path
        self._name = name
        self._traced = traced
        self._limits = limits
        self._traces: Traces | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._calls: dict[int, CancellableCall] = {}
        self._stopping = asyncio.Event()

    async def run(self) -> int:
        """Load, answer, stop; returns the exit code."""
        loop = asyncio.get_running_loop()
        try:
            served = serve_code(self._path, self._name, self._limits.json_depth)
            await served.load()
            if self._traced:
                from haizen_runtime.workers.traces import Traces

                self._traces = Traces()
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
        if self._traces is not None:
            self._traces.close()
        return 0

    def _read(self, loop: asyncio.AbstractEventLoop, served: ServedModel) -> None:
        """Hand requests to the event loop. The end of the socket is the end of the server, and so of this process."""
        try:
            while (received := receive(self._sock)) is not None:
                message, descriptor = received
                if message["op"] == "stop":
                    loop.call_soon_threadsafe(self._stopping.set)
                else:
                    loop.call_soon_threadsafe(self._take, served, message, descriptor)
        except (OSError, BrokenChannel):
            pass
        os._exit(0)

    def _take(self, served: ServedModel, message: dict[str, Any], descriptor: int | None) -> None:
        """Begin a call, or hand a word to the one it is about, if that has not ended meanwhile."""
        op = message["op"]
        if op in ("taken", "cancel"):
            known = self._calls.get(message["id"])
            if op == "cancel" and known is not None:
                known.cancel()
            elif isinstance(known, Emission):
                known.taken()
        elif op == "stream":
            emission = Emission(self._limits)
            self._start(message, emission, self._emit(served, emission, message, descriptor))
        else:
            call, run = Computation(), served.explain if op == "explain" else served.infer
            self._start(message, call, self._answer(run, call, message, descriptor))

    def _start(self, message: dict[str, Any], call: CancellableCall, work: Coroutine[Any, Any, None]) -> None:
        self._calls[message["id"]] = call
        if self._traces is not None and "trace" in message:
            work = self._traces.continued(message["trace"], work)
        task = asyncio.ensure_future(self._told(message, call, work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _told(self, message: dict[str, Any], call: CancellableCall, work: Coroutine[Any, Any, None]) -> None:
        """Whatever ends a call, the server is told."""
        CALL_DETAILS.set(message.get("details"))  # of this task, which is the call's own
        try:
            await work
        except BaseException as error:  # also a cancellation: whoever waits is told
            status, text = described(error)
            if call.is_cancelled():  # and this is what came of it
                log.debug("a request was cancelled: %s", text)
            else:
                log.log(logging.ERROR if status >= 500 else logging.INFO, "a request failed: %s", text,
                        exc_info=error if status >= 500 and status != NOT_IMPLEMENTED else None)  # fmt: skip
            self._tell({"op": "error", "id": message["id"], "status": status, "message": text})
        finally:
            del self._calls[message["id"]]

    async def _answer(self, run: Run, call: Computation, message: dict[str, Any], descriptor: int | None) -> None:
        inputs = unpack(message["inputs"], descriptor, writable=True)
        tensors, segment = pack(await call.run(run(inputs, message["outputs"])))
        answer = {"op": "answer", "id": message["id"], "outputs": tensors}
        if (details := ANSWER_DETAILS.get()) is not None:
            answer["details"] = details
        self._tell(answer, segment)

    async def _emit(
        self, served: ServedModel, emission: Emission, message: dict[str, Any], descriptor: int | None
    ) -> None:
        number = message["id"]

        def emit(outputs: Mapping[str, Array]) -> int:
            tensors, segment = pack(outputs)
            self._tell({"op": "part", "id": number, "outputs": tensors}, segment)
            return bytes_of(tensors)

        inputs = unpack(message["inputs"], descriptor, writable=True)
        await emission.run(served.stream(inputs, message["outputs"], message["parameters"]), emit)
        self._tell({"op": "end", "id": number})

    def _tell(self, message: dict[str, Any], descriptor: int | None = None) -> None:
        with contextlib.suppress(OSError):  # the server is gone: the thread that reads ends this process
            send(self._sock, message, descriptor)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
