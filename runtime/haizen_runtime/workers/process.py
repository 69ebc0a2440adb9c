"""One worker process as the server sees it: started, spoken to, and its end noticed."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final, TypeVar

import numpy as np

from haizen_runtime.engine.call_details import CALL_DETAILS, checked_answer
from haizen_runtime.engine.timing import CARRIER, installed_tracer
from haizen_runtime.observing.logs import configured_format
from haizen_runtime.protocol.errors import InvalidInput
from haizen_runtime.protocol.messages import Scalar
from haizen_runtime.workers.calls import AnswerCall, Call, StreamCall
from haizen_runtime.workers.channel import BrokenChannel, TooLong, receive, send
from haizen_runtime.workers.failures import WorkerLost, as_error
from haizen_runtime.workers.lifeline import exit_words
from haizen_runtime.workers.limits import WorkerLimits
from haizen_runtime.workers.tensors import bytes_of, pack, unpack

Array = np.ndarray[Any, Any]
AnyCall = TypeVar("AnyCall", bound=Call)

END_SECONDS: Final = 2.0
"""How long a worker whose socket is closed may take to end by itself."""


class WorkerProcess:
    """A spawned Python process with one socket to it.

    Made by a thread that lives as long as the worker does: Linux counts the end of that thread as the end of the
    parent (PR_SET_PDEATHSIG).
    """

    def __init__(self, path: str, name: str, log_level: str, limits: WorkerLimits) -> None:
        """Start it and tell it what to load."""
        self._sock, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603  # this very interpreter
                [sys.executable, "-P", "-m", "haizen_runtime.workers.main", str(theirs.fileno()), str(os.getpid())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # what the model's code starts is ended together with it
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )
        self.pid = self._process.pid
        self._limits = limits
        self.in_flight = 0
        """Calls that were given to it and not yet taken back; kept by the pool."""
        self.why_killed = ""
        self._death = os.pidfd_open(self.pid) if hasattr(os, "pidfd_open") else -1
        self._lock = threading.Lock()
        self._reaping = threading.Lock()
        self._calls: dict[int, Call] = {}
        self._numbers = 0
        self._gone = False
        with contextlib.suppress(OSError):  # it is gone already: `read` will tell
            send(self._sock, {"op": "load", "path": path, "name": name, "log_level": log_level,
                              "log_format": configured_format(), "traced": installed_tracer() is not None,
                              "limits": asdict(limits)})  # fmt: skip

    def read(self) -> tuple[dict[str, Any], int | None] | None:
        """The next message, with its descriptor; None once the process has ended or speaks nonsense."""
        try:
            if self._death >= 0:
                # Children of the model's code may hold the socket open after the worker's own end.
                poll = select.poll()
                poll.register(self._sock, select.POLLIN)
                poll.register(self._death, select.POLLIN)
                ready = [descriptor for descriptor, _ in poll.poll()]
                if self._sock.fileno() not in ready:
                    return None
                if self._death in ready:
                    self._sock.settimeout(END_SECONDS)
            return receive(self._sock)
        except BrokenChannel as error:
            self.why_killed = self.why_killed or f"it sent {error}"
            return None
        except OSError:
            return None

    def call(self, op: str, inputs: Mapping[str, Array], outputs: Sequence[str] | None) -> AnswerCall:
        """Send a request to infer or explain. Raises WorkerLost when the process has ended."""
        return self._begin(AnswerCall, op, inputs, {"outputs": outputs})

    def stream(
        self, inputs: Mapping[str, Array], outputs: Sequence[str] | None, parameters: Mapping[str, Scalar]
    ) -> StreamCall:
        """Send a request whose answers are many. Raises WorkerLost when the process has ended."""
        more = {"outputs": outputs, "parameters": dict(parameters)}
        return self._begin(lambda tell: StreamCall(tell, self._limits), "stream", inputs, more)

    def _begin(
        self,
        make: Callable[[Callable[[str], None]], AnyCall],
        op: str,
        inputs: Mapping[str, Array],
        more: dict[str, Any],
    ) -> AnyCall:
        tensors, segment = pack(inputs)
        if (carrier := CARRIER.get()) is not None:
            more["trace"] = carrier
        if (details := CALL_DETAILS.get()) is not None:
            more["details"] = details
        with self._lock:
            if self._gone:
                if segment is not None:
                    os.close(segment)
                raise WorkerLost("The model's worker process has ended and is being replaced; try again.")
            number = self._numbers = self._numbers + 1
            call = self._calls[number] = make(lambda word: self._tell({"op": word, "id": number}))
            try:
                send(self._sock, {"op": op, "id": number, "inputs": tensors, **more}, segment)
            except OSError:
                pass  # the thread that reads notices the end, too, and fails the call
            except TooLong as error:
                del self._calls[number]
                raise InvalidInput(str(error)) from error
        return call

    def answered(self, message: dict[str, Any], descriptor: int | None) -> None:
        """Give an answer to whom it belongs. Raises whatever nonsense provokes."""
        number, op = message["id"], message["op"]
        call = self._calls.get(number)
        if op in ("answer", "part"):
            outputs = unpack(message.get("outputs"), descriptor, writable=False)
            if isinstance(call, StreamCall):
                if op == "answer":
                    raise ValueError("one answer to a call for many")
                call.add(outputs, bytes_of(message["outputs"]))
                return
            if op == "part":
                raise ValueError("many answers to a call for one")
            details = checked_answer(message["details"]) if "details" in message else None
        elif descriptor is not None:
            os.close(descriptor)
            raise ValueError("a descriptor that belongs to nothing")
        if op not in ("answer", "end", "error") or (op == "end" and not isinstance(call, StreamCall)):
            raise ValueError("an unknown kind of message")
        self._calls.pop(number, None)
        if call is None:
            return
        if op == "error":
            call.set_exception(as_error(message["status"], message["message"]))
        else:
            call.set_result(None if op == "end" else (outputs, details))

    def stop(self) -> None:
        """Ask it to end once it has answered."""
        self._tell({"op": "stop"})

    def _tell(self, message: dict[str, Any]) -> None:
        with self._lock, contextlib.suppress(OSError):
            send(self._sock, message)

    def kill(self, why: str) -> None:
        """End it now, with everything it has started."""
        self.why_killed = self.why_killed or why
        with self._reaping, contextlib.suppress(ProcessLookupError, PermissionError):
            if self._process.returncode is None:  # after the wait the number may be another process's
                os.killpg(self.pid, signal.SIGKILL)

    def reap(self) -> str:
        """Wait for the end of it and of what it started, and fail what it had; returns how it ended, in words."""
        if self._death >= 0:
            select.select([self._death], [], [], END_SECONDS)
        self.kill("")
        with self._reaping:
            code = self._process.wait()
        if self._death >= 0:
            os.close(self._death)
        words = self.why_killed or exit_words(code)
        with self._lock:
            self._gone = True
            lost, self._calls = list(self._calls.values()), {}
        self._sock.close()
        for call in lost:
            call.set_exception(WorkerLost(
                f"The model's worker process ended while it worked on this request ({words}). "
                "It is being replaced; try again."
            ))  # fmt: skip
        return words

    def rss_bytes(self) -> int:
        """Its resident memory; 0 when it is gone or the system does not say."""
        try:
            with open(f"/proc/{self.pid}/statm", "rb") as file:
                return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except (OSError, IndexError):
            return 0
