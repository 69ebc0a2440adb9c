"""Which waiting requests form the next batch. Pure: time is an argument."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

Item = TypeVar("Item")


@dataclass(slots=True)
class Waiting(Generic[Item]):
    """One request in the queue. Times are seconds on one monotonic clock."""

    item: Item
    key: Hashable
    """Only requests of equal key (shapes, datatypes, outputs) share a batch."""
    rows: int
    arrived: float
    deadline: float | None = None
    priority: int = 0
    is_cancelled: Callable[[], bool] | None = None
    start_by: float | None = None
    """When it must have its turn; unlike the deadline it ends the wait only, not the run."""


class Expiry(Enum):
    """Why a waiting request left the queue without running."""

    DEADLINE = "deadline"
    CANCELLED = "cancelled"
    TIMEOUT = "timeout"


class BatchPolicy(Generic[Item]):
    """A bounded queue that forms batches: oldest first within a priority, equal keys only, at most `max_rows` rows.

    A single request larger than `max_rows` runs alone. With `max_delay_seconds` 0 nothing ever waits for company.
    """

    def __init__(self, max_rows: int, max_delay_seconds: float, queue_limit: int) -> None:
        if max_rows < 1 or queue_limit < 1 or max_delay_seconds < 0:
            raise ValueError("max_rows and queue_limit are at least 1, max_delay_seconds at least 0")
        self.max_rows = max_rows
        self.max_delay_seconds = max_delay_seconds
        self.queue_limit = queue_limit
        self._lanes: dict[tuple[int, Hashable], deque[Waiting[Item]]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Waiting[Item]]:
        for lane in self._lanes.values():
            yield from lane

    def offer(self, waiting: Waiting[Item]) -> bool:
        """Queue a request; False when the queue is full."""
        if self._count >= self.queue_limit:
            return False
        lane_key = (waiting.priority, waiting.key)
        lane = self._lanes.get(lane_key)
        if lane is None:
            lane = self._lanes[lane_key] = deque()
        lane.append(waiting)
        self._count += 1
        return True

    def take(self, now: float) -> list[Waiting[Item]]:
        """Remove and return the next batch that is due, or an empty list."""
        lane_key = self._next_lane(now)
        if lane_key is None:
            return []
        lane = self._lanes[lane_key]
        batch = [lane.popleft()]
        rows = batch[0].rows
        while lane and rows + lane[0].rows <= self.max_rows:
            rows += lane[0].rows
            batch.append(lane.popleft())
        if not lane:
            del self._lanes[lane_key]
        self._count -= len(batch)
        return batch

    def expire(self, now: float) -> list[tuple[Waiting[Item], Expiry]]:
        """Remove and return what need not run any more: past its deadline, or with nobody waiting."""
        gone: list[tuple[Waiting[Item], Expiry]] = []
        for lane_key, lane in list(self._lanes.items()):
            verdicts = [(waiting, self._verdict(waiting, now)) for waiting in lane]
            dropped = [(waiting, verdict) for waiting, verdict in verdicts if verdict is not None]
            if not dropped:
                continue
            gone += dropped
            kept = deque(waiting for waiting, verdict in verdicts if verdict is None)
            if kept:
                self._lanes[lane_key] = kept
            else:
                del self._lanes[lane_key]
        self._count -= len(gone)
        return gone

    def next_due(self) -> float | None:
        """When `take` next has something to give, as far as is known now; None when the queue is empty."""
        if not self._lanes:
            return None
        return min(lane[0].arrived for lane in self._lanes.values()) + self.max_delay_seconds

    def _next_lane(self, now: float) -> tuple[int, Hashable] | None:
        if len(self._lanes) == 1:
            ((lane_key, lane),) = self._lanes.items()
            return lane_key if self._is_due(lane, now) else None
        due = [(key[0], lane[0].arrived, key) for key, lane in self._lanes.items() if self._is_due(lane, now)]
        return min(due, key=lambda entry: entry[:2])[2] if due else None

    def _is_due(self, lane: deque[Waiting[Item]], now: float) -> bool:
        if now >= lane[0].arrived + self.max_delay_seconds:  # as `next_due` says it, to the last bit
            return True
        rows = 0
        for waiting in lane:
            rows += waiting.rows
            if rows >= self.max_rows:
                return True
        return False

    @staticmethod
    def _verdict(waiting: Waiting[Item], now: float) -> Expiry | None:
        if waiting.deadline is not None and now >= waiting.deadline:
            return Expiry.DEADLINE
        if waiting.start_by is not None and now >= waiting.start_by:
            return Expiry.TIMEOUT
        if waiting.is_cancelled is not None and waiting.is_cancelled():
            return Expiry.CANCELLED
        return None
