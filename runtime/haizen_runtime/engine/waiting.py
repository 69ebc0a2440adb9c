"""Requests that come before their model is loaded: a bounded number of them waits until it is, or has failed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from time import time_ns
from typing import TYPE_CHECKING

from haizen_runtime.engine.timing import installed_tracer
from haizen_runtime.protocol.errors import DeadlineExceeded, ModelNotReady, QueueFull

if TYPE_CHECKING:
    from haizen_runtime.engine.model import Model


class WaitingRoom:
    """Places for requests of models on their way. Used from the event loop only; doors hold what they received."""

    def __init__(self, limit: int = 2048, seconds: float = 295.0) -> None:
        """`limit` bounds the requests of all models together, `seconds` the wait of each; 0 lets none wait."""
        self.limit = limit
        self.seconds = seconds
        self._places: dict[Model, set[asyncio.Future[None]]] = {}
        self._closed = False

    def count(self, model: Model) -> int:
        """Requests that wait for this model now."""
        return len(self._places.get(model, ()))

    @contextmanager
    def place(self, model: Model, deadline: float | None = None) -> Iterator[asyncio.Future[None]]:
        """A place, given back at the end of the block: a future that is done once the model is loaded or has failed.

        The future raises DeadlineExceeded at `deadline` (the event loop's clock), ModelNotReady after the room's own
        time or when the process ends. Raises QueueFull when there is no place, ModelNotReady when none may wait.
        """
        if self._closed or not self.seconds:
            raise model.not_ready()
        if sum(map(len, self._places.values())) >= self.limit:
            model.metrics.dropped("queue_full")
            raise QueueFull(
                f"Model {model.name} is not loaded yet and {self.limit} requests wait already; try again later."
            )
        loop = asyncio.get_running_loop()
        end = loop.time() + self.seconds
        late: DeadlineExceeded | ModelNotReady = ModelNotReady(
            f"Model {model.name} was not loaded within {self.seconds:g} seconds (--load_wait_seconds)."
        )
        if deadline is not None and deadline < end:
            end, late = deadline, DeadlineExceeded(f"Model {model.name} was not loaded before the request's deadline.")
        future: asyncio.Future[None] = loop.create_future()
        timer = loop.call_at(end, self._expire, model, future, late)
        places = self._places.setdefault(model, set())
        places.add(future)
        tracer, since = installed_tracer(), time_ns()
        try:
            yield future
        finally:
            timer.cancel()
            future.cancel()
            places.discard(future)
            if tracer is not None:
                tracer.waited(model.name, since)

    def settled(self, model: Model) -> None:
        """Let everybody go who waits for this model."""
        for future in self._places.pop(model, set()):
            if not future.done():
                future.set_result(None)

    def close(self) -> None:
        """Turn away who waits and who comes: the process ends before any model will be loaded."""
        self._closed = True
        for model, places in list(self._places.items()):
            for future in places:
                if not future.done():
                    future.set_exception(model.not_ready())

    @staticmethod
    def _expire(model: Model, future: asyncio.Future[None], late: DeadlineExceeded | ModelNotReady) -> None:
        if not future.done():
            model.metrics.dropped("deadline")
            future.set_exception(late)
