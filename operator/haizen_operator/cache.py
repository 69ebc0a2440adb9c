"""Answers kept for a short time, asked for once even if a hundred want them at the same moment."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Cache(Generic[Value]):
    """Values by key, each good for `ttl_seconds`; failures are not kept."""

    def __init__(self, ttl_seconds: float, clock: Callable[[], float] = time.monotonic):
        self._ttl = ttl_seconds
        self._clock = clock
        self._entries: dict[Hashable, tuple[float, asyncio.Future[Value]]] = {}

    async def get(self, key: Hashable, read: Callable[[], Awaitable[Value]]) -> Value:
        """The value of a key, from `read` unless it is known; whoever asks meanwhile waits for the same answer."""
        known = self._entries.get(key)
        if known is not None and (not known[1].done() or self._clock() - known[0] < self._ttl):
            return await asyncio.shield(known[1])
        answer: asyncio.Future[Value] = asyncio.ensure_future(read())
        self._entries[key] = (self._clock(), answer)
        answer.add_done_callback(lambda done: self._drop_failed(key, done))
        return await asyncio.shield(answer)

    def forget(self, key: Hashable) -> None:
        """Read the key anew next time, also when a read is under way: it may have missed the change."""
        self._entries.pop(key, None)

    def clear(self) -> None:
        """Read everything anew."""
        self._entries.clear()

    def prune(self) -> None:
        """Drop what is too old to be used, so that keys of deleted things do not pile up."""
        now = self._clock()
        old = [key for key, (at, answer) in self._entries.items() if answer.done() and now - at >= self._ttl]
        for key in old:
            del self._entries[key]

    def _drop_failed(self, key: Hashable, done: "asyncio.Future[Value]") -> None:
        if done.cancelled() or done.exception() is not None:
            known = self._entries.get(key)
            if known is not None and known[1] is done:
                del self._entries[key]
