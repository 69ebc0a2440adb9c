"""Calls to a worker, as the server sees them: one thread reads what comes of them, another one takes it."""

from __future__ import annotations

import queue
from collections.abc import Callable
from time import monotonic
from typing import Any, Final

import numpy as np

from haizen_runtime.engine.call_details import AnswerDetails
from haizen_runtime.protocol.errors import ClientGone, DeadlineExceeded
from haizen_runtime.workers.limits import WorkerLimits
from haizen_runtime.workers.window import Window

Array = np.ndarray[Any, Any]
Outputs = dict[str, Array]
Answered = tuple[Outputs, AnswerDetails | None]
"""The outputs, and what the model says beside them."""

NOBODY_WAITS: Final = "Nobody waits for the answer any more."
CANCEL_SECONDS: Final = 5.0
"""What a call that is cancelled has at least to end, or its limit where that is shorter; then its worker is hung."""
_WAKE: Final = object()


class Call:
    """What comes of one call, taken by the one thread that made it."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        """`tell` sends the worker a word about this call: taken, or cancel."""
        self._tell = tell
        self._events: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._cancelled = False
        self._told = False
        self._late = False
        """Whether it was cancelled because its limit was over."""

    # From the thread that reads what the worker says

    def set_result(self, result: Answered | None) -> None:
        """The answer; of many, None after the last."""
        self._events.put(result)

    def set_exception(self, error: Exception) -> None:
        """The call failed, or its worker ended."""
        self._events.put(error)

    # From any thread

    def cancel(self) -> None:
        """Nobody waits any more: the thread that made the call tells the worker, and goes on waiting for the end."""
        self._cancelled = True
        self._events.put(_WAKE)

    # From the thread that made the call

    def _next(self, limit_seconds: float | None, cancellable: bool) -> Any:
        """What came next, be it an error. Raises TimeoutError; a call that is `cancellable` is cancelled before."""
        end = None if limit_seconds is None else monotonic() + limit_seconds
        while True:
            if self._cancelled and not self._told:
                self._told = True
                self._tell("cancel")
                if limit_seconds is not None and end is not None:
                    end = max(end, monotonic() + min(limit_seconds, CANCEL_SECONDS))
            try:
                event = self._events.get(timeout=None if end is None else max(0.0, end - monotonic()))
            except queue.Empty:
                if self._told or not cancellable:
                    raise TimeoutError from None
                self._late = self._cancelled = True
                continue
            if event is _WAKE:
                continue
            if self._late and (event is None or isinstance(event, Exception)):
                return DeadlineExceeded(f"The model did not answer within {limit_seconds:g} s.")
            return event


class AnswerCall(Call):
    """A call for one answer."""

    def result(self, limit_seconds: float | None, cancellable: bool = False) -> Answered:
        """The answer, once the worker has ended the call; one that is `cancellable` is cancelled at its limit.

        Raises TimeoutError when the worker does not end it, or the error that the call ended with: that of one that
        was cancelled is ClientGone, or DeadlineExceeded at its limit.
        """
        event = self._next(limit_seconds, cancellable)
        if isinstance(event, Exception):
            raise ClientGone(NOBODY_WAITS) if self._cancelled and not self._late else event
        answered: Answered = event
        return answered


class StreamCall(Call):
    """A call for any number of answers."""

    def __init__(self, tell: Callable[[str], None], limits: WorkerLimits) -> None:
        super().__init__(tell)
        self._window = Window(limits)

    # From the thread that reads what the worker says

    def add(self, outputs: Outputs, size: int) -> None:
        """An answer of so many bytes came. Raises ValueError when the worker did not wait for others to be taken."""
        self._window.sent(size)
        self._events.put(outputs)

    # From the thread that made the call

    def take(self, limit_seconds: float | None) -> Outputs | None:
        """The next answer; None after the last, or once the worker has ended a call that was cancelled.

        Raises TimeoutError when the worker does not end the call after it was cancelled at its limit, DeadlineExceeded
        when it does, or the error that the call ended with.
        """
        while True:
            event = self._next(limit_seconds, cancellable=True)
            if event is None or (self._cancelled and not self._late and isinstance(event, Exception)):
                return None
            if isinstance(event, Exception):
                raise event
            self._window.taken()
            if not self._cancelled:
                self._tell("taken")
                outputs: Outputs = event
                return outputs
