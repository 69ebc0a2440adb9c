"""A work queue of keys: each key is worked on by one worker at a time, and adding a waiting key again changes nothing.

The semantics are those every Kubernetes controller relies on:
- a key added while it waits is coalesced; added while it is worked on, it runs once more afterwards;
- a key that fails comes back after a backoff of its own, so that one broken object does not slow the others;
- first come, first served, so that a busy key cannot starve the rest; urgent keys (a user's edit) go before the others
  (a child's news), and the others still get every eighth turn;
- a key that asked to come back later lets a burst of urgent keys pass first, for a few seconds at most: a hundred new
  objects all get their first turn before one of them gets its second.
Times are the event loop's monotonic clock: a jump of the wall clock changes nothing.
"""

import asyncio
import logging
import random
from collections import deque
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from haizen_operator.backoff import Backoff

logger = logging.getLogger(__name__)
Key = TypeVar("Key", bound=Hashable)
_NORMAL_EVERY = 8
_CALM_SECONDS = 0.2
"""A burst of urgent keys is over when none was added or finished for so long."""


class WorkQueue(Generic[Key]):
    """Keys to work on, and the workers that do."""

    def __init__(
        self,
        work: Callable[[Key], Awaitable[float | None]],
        *,
        workers: int,
        backoff: Backoff,
        patience_seconds: float = 5.0,
    ):
        """`work` handles a key and returns after how many seconds it wants it back (None: when something happens).

        `patience_seconds`: how long a key whose time has come lets urgent ones pass.
        """
        self._work = work
        self._workers = workers
        self._backoff = backoff
        self._patience = patience_seconds
        self._urgent: deque[Key] = deque()
        self._normal: deque[Key] = deque()
        self._turn = 0
        self._promoted: set[Key] = set()  # urgent keys that wait to run again once their worker is done
        self._dirty: set[Key] = set()  # waiting, or to run again once its worker is done
        self._busy: dict[Key, float] = {}  # since when
        self._urgent_at = float("-inf")  # when an urgent key was last added or finished
        self._urgent_busy = 0  # how many workers are busy with urgent keys
        self._failures: dict[Key, int] = {}
        self._timers: dict[Key, asyncio.TimerHandle] = {}
        self._due: dict[Key, float] = {}
        self._wakeup = asyncio.Semaphore(0)

    def add(self, key: Key, *, urgent: bool = False) -> None:
        """Work on the key as soon as a worker is free; an urgent one before those that are not."""
        self._cancel_timer(key)
        if urgent:
            self._urgent_at = asyncio.get_running_loop().time()
        if urgent and key in self._busy:
            self._promoted.add(key)
        if key in self._dirty:
            if urgent and key in self._normal:
                self._normal.remove(key)
                self._urgent.append(key)
            return
        self._dirty.add(key)
        if key not in self._busy:
            self._enqueue(key, urgent=urgent)

    def add_after(self, key: Key, seconds: float) -> None:
        """Work on the key in so many seconds, unless an earlier time is set already; 0 does not wait for calm."""
        loop = asyncio.get_running_loop()
        due = loop.time() + seconds
        if key in self._dirty or self._due.get(key, float("inf")) <= due:
            return
        self._cancel_timer(key)
        self._due[key] = due
        at_latest = due + self._patience if seconds > 0 else due
        self._timers[key] = loop.call_at(due, self._come_due, key, at_latest)

    async def run(self) -> None:
        """Run the workers until cancelled."""
        async with asyncio.TaskGroup() as group:
            for number in range(self._workers):
                group.create_task(self._worker(), name=f"reconcile worker {number}")

    @property
    def depth(self) -> int:
        """How many keys wait for a worker."""
        return len(self._urgent) + len(self._normal)

    def longest_busy_seconds(self) -> float:
        """For how long the slowest key in work has been worked on; 0 when nothing is."""
        return asyncio.get_running_loop().time() - min(self._busy.values()) if self._busy else 0.0

    async def _worker(self) -> None:
        while True:
            await self._wakeup.acquire()
            key, urgent = self._next()
            self._dirty.discard(key)
            self._busy[key] = asyncio.get_running_loop().time()
            self._urgent_busy += urgent
            try:
                again = await self._work(key)
            except Exception:
                # The cause was reported where it happened; here it only decides when the key comes back.
                failures = self._failures[key] = self._failures.get(key, 0) + 1
                again = self._backoff.delay(failures, random.random())  # noqa: S311 (jitter, not a secret)
                logger.debug("%s failed %d times in a row; again in %.1f s", key, failures, again, exc_info=True)
            else:
                self._failures.pop(key, None)
            finally:
                del self._busy[key]
                if urgent:
                    self._urgent_busy -= 1
                    self._urgent_at = asyncio.get_running_loop().time()
            if key in self._dirty:
                self._enqueue(key, urgent=key in self._promoted)
                self._promoted.discard(key)
            elif again is not None:
                self.add_after(key, again)

    def _enqueue(self, key: Key, *, urgent: bool) -> None:
        (self._urgent if urgent else self._normal).append(key)
        self._wakeup.release()

    def _next(self) -> tuple[Key, bool]:
        """The key whose turn it is, and whether it is urgent."""
        self._turn += 1
        normal_first = self._turn % _NORMAL_EVERY == 0
        urgent = bool(self._urgent) and not (normal_first and self._normal)
        return (self._urgent if urgent else self._normal).popleft(), urgent

    def _come_due(self, key: Key, at_latest: float) -> None:
        """A timer's end: into the queue, or a little later while a burst of urgent keys is under way."""
        loop = asyncio.get_running_loop()
        calm_at = self._urgent_at + _CALM_SECONDS
        if self._urgent or self._urgent_busy:
            calm_at = loop.time() + _CALM_SECONDS
        look_again = min(calm_at, at_latest)
        if loop.time() < look_again:
            self._timers[key] = loop.call_at(look_again, self._come_due, key, at_latest)
        else:
            self.add(key)

    def _cancel_timer(self, key: Key) -> None:
        timer = self._timers.pop(key, None)
        self._due.pop(key, None)
        if timer is not None:
            timer.cancel()
