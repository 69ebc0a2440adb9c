"""A streaming call in the worker process: answers leave while their reader keeps up, and end when it says so."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Any

import numpy as np

from haizen_runtime.protocol.errors import InferenceFailed
from haizen_runtime.workers.cancelling import CancellableCall
from haizen_runtime.workers.limits import WorkerLimits
from haizen_runtime.workers.window import Window

Array = np.ndarray[Any, Any]
Outputs = Mapping[str, Array]


class Emission(CancellableCall):
    """One streaming call. A generator that is cancelled ends at its next `await` or `yield`."""

    def __init__(self, limits: WorkerLimits) -> None:
        super().__init__()
        self._window = Window(limits)
        self._taken = asyncio.Event()

    async def run(self, answers: AsyncGenerator[Outputs], emit: Callable[[Outputs], int]) -> None:
        """Send each answer by `emit`, which returns its size. Raises what making or sending an answer raises.

        A call that was cancelled is at its end when its generator is.
        """
        task = self._task = asyncio.current_task()
        assert task is not None
        try:
            async with aclosing(answers):
                if self.is_cancelled():
                    return
                async for outputs in answers:
                    if self.is_cancelled():  # and the generator went on nevertheless
                        return
                    self._window.sent(emit(outputs))
                    while not self._window.is_open:
                        self._taken.clear()
                        await self._taken.wait()
        except asyncio.CancelledError:
            if not self.is_cancelled():
                raise
            task.uncancel()
        finally:
            self._task = None

    def taken(self) -> None:
        """The reader has taken an answer."""
        self._window.taken()
        self._taken.set()


async def items_of(result: Any) -> AsyncGenerator[Any]:
    """What a generator gives, of either kind, or a coroutine of one; it is closed whatever ends the reading.

    Between two items of an ordinary generator the event loop gets its turn.
    """
    if inspect.isawaitable(result):
        result = await result
    if hasattr(result, "__aiter__"):
        iterator = aiter(result)
        try:
            async for item in iterator:
                yield item
        finally:
            close = getattr(iterator, "aclose", None)
            if close is not None:
                await close()
    elif hasattr(result, "__next__"):
        try:
            for item in result:
                yield item
                await asyncio.sleep(0)
        finally:
            close = getattr(result, "close", None)
            if close is not None:
                close()
    else:
        raise InferenceFailed(
            f"The class is decoupled, and predict returned {type(result).__name__} where a generator was expected."
        )
