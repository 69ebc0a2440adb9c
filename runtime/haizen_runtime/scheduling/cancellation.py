"""Work that was begun and that nobody waits for any more: how whoever runs it is told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Final, TypeVar

Request = TypeVar("Request")
Result = TypeVar("Result")


class Cancellation:
    """One for each piece of work; cancelled at most once, while it runs or after it has ended."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cancelled = False
        self._tell: Callable[[], None] | None = None

    @property
    def cancelled(self) -> bool:
        """Whether nobody waits any more."""
        return self._cancelled

    def cancel(self) -> None:
        """Nobody waits any more."""
        with self._lock:
            if self._cancelled:
                return
            self._cancelled = True
            tell = self._tell
        if tell is not None:
            tell()

    # On the thread that does the work

    def on_cancel(self, tell: Callable[[], None]) -> None:
        """Have `tell` called, on any thread, as soon as nobody waits any more; it must not block.

        It takes the place of one that was named before.
        """
        with self._lock:
            self._tell = tell
            if not self._cancelled:
                return
        tell()

    def run(
        self, execute: Callable[[Sequence[Request]], Sequence[Result]], requests: Sequence[Request]
    ) -> Sequence[Result]:
        """Execute the requests; who does so finds this in CANCELLATION."""
        token = CANCELLATION.set(self)
        try:
            return execute(requests)
        finally:
            CANCELLATION.reset(token)


CANCELLATION: Final[ContextVar[Cancellation | None]] = ContextVar("haizen_cancellation", default=None)
"""Set while a batch runs that can be cancelled, on the thread that runs it."""
