"""A streaming call to a worker, as the server sees it: one thread reads the answers, another one takes them."""

from __future__ import annotations

import queue
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from haizen_runtime.workers.limits import WorkerLimits
from haizen_runtime.workers.window import Window

Array = np.ndarray[Any, Any]
Outputs = dict[str, Array]

_WAKE: Final = object()


class StreamCall:
    """The answers to one call, taken by the one thread that made it."""

    def __init__(self, tell: Callable[[str], None], limits: WorkerLimits) -> None:
        """`tell` sends the worker a word about this call: taken, or cancel."""
        self._tell = tell
        self._events: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._window = Window(limits)
        self._cancelled = False
        self._told = False

    # From the thread that reads what the worker says

    def add(self, outputs: Outputs, size: int) -> None:
        """An answer of so many bytes came. Raises ValueError when the worker did not wait for others to be taken."""
        self._window.sent(size)
        self._events.put(outputs)

    def set_result(self, result: None) -> None:
        """That was the last one."""
        self._events.put(None)

    def set_exception(self, error: Exception) -> None:
        """The call failed, or its worker ended."""
        self._events.put(error)

    # From any thread

    def cancel(self) -> None:
        """Nobody wants the answers any more: `take` tells the worker, and returns None once that has ended the call."""
        self._cancelled = True
        self._events.put(_WAKE)

    # From the thread that made the call

    def take(self, limit_seconds: float | None) -> Outputs | None:
        """The next answer; None after the last. Raises TimeoutError, or the error that the call ended with."""
        while True:
            if self._cancelled and not self._told:
                self._told = True
                self._tell("cancel")
            try:
                event = self._events.get(timeout=limit_seconds)
            except queue.Empty:
                raise TimeoutError from None
            if event is _WAKE:
                continue
            if event is None or (self._cancelled and isinstance(event, Exception)):
                return None
            if isinstance(event, Exception):
                raise event
            self._window.taken()
            if not self._cancelled:
                self._tell("taken")
                outputs: Outputs = event
                return outputs
