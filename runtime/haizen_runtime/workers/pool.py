"""The worker processes of one model: calls go to a free one, one that ends is replaced."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Any, Final

import numpy as np

from haizen_runtime.engine.call_details import ANSWER_DETAILS
from haizen_runtime.engine.metrics import WorkerUsage
from haizen_runtime.engine.streams import Answers
from haizen_runtime.protocol.errors import ClientGone, DeadlineExceeded, ModelLoadFailed, ModelNotReady
from haizen_runtime.protocol.messages import Scalar
from haizen_runtime.scheduling.cancellation import CANCELLATION
from haizen_runtime.workers.calls import NOBODY_WAITS
from haizen_runtime.workers.limits import WorkerLimits
from haizen_runtime.workers.process import WorkerProcess
from haizen_runtime.workers.restarts import RestartPolicy

Array = np.ndarray[Any, Any]

log = logging.getLogger("haizen_runtime.workers")

STOP_SECONDS: Final = 10.0
"""How long a worker may take to finish what it has when the model is unloaded."""


class _Phase(Enum):
    STARTING = "starting"
    READY = "ready"
    WAITING = "waiting before its next start"
    CLOSED = "closed"


class _Slot:
    """The place of one worker, whichever process is in it now."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.phase = _Phase.STARTING
        self.worker: WorkerProcess | None = None
        self.policy = RestartPolicy()
        self.last_end = ""


class WorkerPool:
    """`count` worker processes, a thread each that starts it, reads from it and replaces it."""

    def __init__(self, path: Path, name: str, count: int, limit_seconds: float, limits: WorkerLimits) -> None:
        """`limit_seconds` is how long one call may take before its worker is taken for hung; 0 for no limit."""
        self._path = path
        self._name = name
        self._limit = limit_seconds or None
        self._limits = limits
        self._slots = [_Slot(index) for index in range(count)]
        self._changed = threading.Condition()
        self._closed = False
        self._description: dict[str, Any] | None = None
        self._failure: str | None = None
        self._concurrency = 1

    def start(self) -> dict[str, Any]:
        """Start all workers and wait until each has loaded the model; returns what it says about itself.

        Raises ModelLoadFailed when one cannot: the message has the line in the model's code.
        """
        for slot in self._slots:
            threading.Thread(target=self._keep, args=(slot,), name=f"worker-{slot.index}", daemon=True).start()
        with self._changed:
            self._changed.wait_for(
                lambda: self._failure is not None or all(slot.phase is _Phase.READY for slot in self._slots)
            )
            if self._failure is None:
                assert self._description is not None
                return self._description
        self.close()
        raise ModelLoadFailed(self._failure)

    def call(self, inputs: Mapping[str, Array], outputs: Sequence[str] | None, op: str = "infer") -> dict[str, Array]:
        """Infer, or explain, on a free worker; blocking, until the worker has ended the call. Raises RequestError.

        The worker is told when nobody waits for the running batch any more, and not asked when it is so already.
        """
        cancellation = CANCELLATION.get()
        with self._busy() as worker:
            if cancellation is not None and cancellation.cancelled:
                raise ClientGone(NOBODY_WAITS)
            call = worker.call(op, inputs, outputs)
            if cancellation is not None:
                cancellation.on_cancel(call.cancel)
            try:
                answer, details = call.result(self._limit, cancellation is not None)
            except TimeoutError:
                raise self._hung(worker) from None
        if details is not None:
            ANSWER_DETAILS.set(details)
        return answer

    def stream(
        self,
        inputs: Mapping[str, Array],
        outputs: Sequence[str] | None,
        parameters: Mapping[str, Scalar],
        answers: Answers,
    ) -> None:
        """Put a free worker's answers into `answers`; blocking, until the worker has ended the call.

        Raises RequestError. The limit of one call is, for a stream, that of the time to its next answer.
        """
        with self._busy() as worker:
            call = worker.stream(inputs, outputs, parameters)
            answers.on_stop(call.cancel)
            try:
                while (result := call.take(self._limit)) is not None:
                    answers.put(result)  # when nobody reads any more, `cancel` was called, and `take` ends
            except TimeoutError:
                raise self._hung(worker) from None

    @contextmanager
    def _busy(self) -> Iterator[WorkerProcess]:
        """A worker with room for a call, which it has until the end of the block. Raises ModelNotReady."""
        worker = self._take()
        try:
            yield worker
        finally:
            with self._changed:
                worker.in_flight -= 1
                self._changed.notify_all()

    def _hung(self, worker: WorkerProcess) -> DeadlineExceeded:
        worker.kill(f"a request took longer than {self._limit:g} s")
        return DeadlineExceeded(
            f"The model did not answer within {self._limit:g} s; its worker process was ended and is replaced."
        )

    @property
    def problem(self) -> str | None:
        """Why no worker can answer, when they end again and again."""
        if any(slot.phase is _Phase.READY for slot in self._slots):
            return None
        looping = next((slot for slot in self._slots if slot.policy.looping), None)
        if looping is None:
            return None
        return f"its worker process ended {looping.policy.ends} times in a row, last: {looping.last_end}"

    def usage(self) -> list[WorkerUsage]:
        """A row for each worker that runs now."""
        return [
            WorkerUsage(slot.index, worker.pid, worker.rss_bytes(), slot.policy.restarts)
            for slot in self._slots
            if (worker := slot.worker) is not None
        ]

    def close(self) -> None:
        """Let each worker finish what it has, then end it. Does not wait."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        threading.Thread(target=self._stop, name="stop-workers", daemon=True).start()

    def _take(self) -> WorkerProcess:
        """A worker with room for a call. Waits while one is busy or starting; raises ModelNotReady else."""

        def free() -> WorkerProcess | None:
            able = [slot.worker for slot in self._slots if slot.phase is _Phase.READY and slot.worker is not None]
            least = min(able, key=lambda worker: worker.in_flight, default=None)
            return least if least is not None and least.in_flight < self._concurrency else None

        def hopeless() -> bool:
            return self._closed or all(slot.phase in (_Phase.WAITING, _Phase.CLOSED) for slot in self._slots)

        with self._changed:
            # However long a start takes: the scheduler answers requests whose deadline passes meanwhile.
            self._changed.wait_for(lambda: free() is not None or hopeless())
            worker = free()
            if worker is not None:
                worker.in_flight += 1
                return worker
            why = self.problem or next((slot.last_end for slot in self._slots if slot.last_end), "starting")
        raise ModelNotReady(f"No worker process of model {self._name} is up ({why}); try again.")

    def _keep(self, slot: _Slot) -> None:
        """Start a worker, read what it says until it ends, and so on. The thread of a slot."""
        first = True
        while not self._is_closed():
            self._set(slot, _Phase.STARTING)
            failure, ended, loaded = self._run(slot)
            if self._is_closed():
                break
            slot.last_end = failure or ended
            if first and not loaded:
                with self._changed:
                    self._failure = (
                        self._failure
                        or failure
                        or (f"The worker process that loads {self._path.name} ended before it was done ({ended}).")
                    )
                break
            first = False
            delay = slot.policy.ended()
            log.error("a worker of model %s ended: %s; the next starts in %gs", self._name, slot.last_end, delay)
            self._set(slot, _Phase.WAITING if delay else _Phase.STARTING)
            with self._changed:
                self._changed.wait_for(lambda: self._closed, delay)
        self._set(slot, _Phase.CLOSED)

    def _is_closed(self) -> bool:
        return self._closed

    def _run(self, slot: _Slot) -> tuple[str | None, str, bool]:
        """One process from its start to its end: why it could not load, how it ended, whether it had loaded."""
        try:
            level = logging.getLevelName(log.getEffectiveLevel())
            worker = WorkerProcess(str(self._path), self._name, level, self._limits)
        except OSError as error:  # no memory, no process numbers
            return f"A worker process cannot be started: {error.strerror or error}.", "not started", False
        slot.worker = worker
        failure = self._serve(slot, worker)
        loaded = slot.phase is _Phase.READY
        self._set(slot, _Phase.STARTING)
        ended = worker.reap()
        slot.worker = None
        return failure, ended, loaded

    def _serve(self, slot: _Slot, worker: WorkerProcess) -> str | None:
        """Hand on what a worker says until it ends; returns why it could not load, if it said so."""
        while (received := worker.read()) is not None:
            message, descriptor = received
            try:
                if message["op"] == "failed":
                    return str(message["message"])
                if message["op"] == "loaded":
                    self._loaded(slot, message)
                else:
                    worker.answered(message, descriptor)
                    slot.policy.answered()
            except Exception as error:  # whatever nonsense provokes must not end this thread
                worker.kill(f"it sent nonsense: {error}")
                return None
        return None

    def _loaded(self, slot: _Slot, message: dict[str, Any]) -> None:
        with self._changed:
            self._description = self._description or message
            self._concurrency = int(message["concurrency"])
            slot.phase = _Phase.READY
            self._changed.notify_all()

    def _set(self, slot: _Slot, phase: _Phase) -> None:
        with self._changed:
            slot.phase = phase
            self._changed.notify_all()

    def _stop(self) -> None:
        end = time.monotonic() + STOP_SECONDS
        workers = [slot.worker for slot in self._slots if slot.worker is not None]
        for worker in workers:
            worker.stop()
        with self._changed:
            self._changed.wait_for(
                lambda: all(slot.phase is _Phase.CLOSED for slot in self._slots), max(0.0, end - time.monotonic())
            )
        for slot in self._slots:
            if slot.worker is not None:
                slot.worker.kill("the model was unloaded")
