"""A call in the worker process that can be cancelled: its code ends at the next `await`."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


class CancellableCall:
    """One call. Used on the event loop."""

    def __init__(self) -> None:
        self._cancelled = False
        self._task: asyncio.Task[Any] | None = None
        """Set while the model's code runs."""

    def is_cancelled(self) -> bool:
        """Whether nobody waits any more."""
        return self._cancelled

    def cancel(self) -> None:
        """Nobody waits any more: end the code where it waits; code that has not begun does not begin."""
        self._cancelled = True
        if self._task is not None:
            self._task.cancel()


class Computation(CancellableCall):
    """One call for one answer."""

    async def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """What the work gives. Raises what it raises; CancelledError at once when the call was cancelled before."""
        if self._cancelled:
            work.close()
            raise asyncio.CancelledError
        self._task = asyncio.current_task()
        try:
            return await work
        finally:
            self._task = None
