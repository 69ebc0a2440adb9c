"""A batch that nobody waits for any more: who runs it is told, once, and not before."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

import pytest

from haizen_runtime.protocol.errors import ClientGone, DeadlineExceeded
from haizen_runtime.scheduling.cancellation import CANCELLATION, Cancellation
from haizen_runtime.scheduling.policy import BatchPolicy
from haizen_runtime.scheduling.scheduler import BatchScheduler
from haizen_runtime.scheduling.threads import WorkerThreads
from tests.runtime.conftest import until
from tests.runtime.scheduling.test_batch_scheduler import Seen


class Held:
    """Runs batches that end when they are cancelled, or let go."""

    def __init__(self) -> None:
        self.ended = threading.Event()
        self.begun: list[list[Any]] = []
        self.found: list[Cancellation | None] = []

    def __call__(self, requests: Sequence[Any]) -> list[Any]:
        cancellation = CANCELLATION.get()
        self.begun.append(list(requests))
        self.found.append(cancellation)
        if cancellation is not None:
            cancellation.on_cancel(self.ended.set)
        assert self.ended.wait(60)
        return list(requests)


def make(cancellable: bool) -> tuple[BatchScheduler[Any, Any], Held, Seen]:
    held, seen = Held(), Seen()
    policy: BatchPolicy[Any] = BatchPolicy(4, 0.0, 10)
    return BatchScheduler(policy, held, WorkerThreads(1, "test"), 1, 0, seen, cancellable), held, seen


def test_it_is_told_once_whenever_it_comes() -> None:
    told: list[str] = []
    cancellation = Cancellation()
    cancellation.on_cancel(lambda: told.append("early"))
    cancellation.on_cancel(lambda: told.append("in time"))
    assert (cancellation.cancelled, told) == (False, [])
    cancellation.cancel()
    cancellation.cancel()
    assert (cancellation.cancelled, told) == (True, ["in time"])
    cancellation.on_cancel(lambda: told.append("late"))
    assert told == ["in time", "late"]


async def test_a_batch_is_cancelled_when_the_last_of_its_requests_has_lost_its_waiter() -> None:
    scheduler, held, seen = make(cancellable=True)
    gone: set[str] = set()
    now = asyncio.get_running_loop().time()
    left = scheduler.submit("left", "k", 1, is_cancelled=lambda: "left" in gone)
    late = scheduler.submit("late", "k", 1, deadline=now + 0.2)
    given_up = scheduler.submit("given up", "k", 1, is_cancelled=lambda: False)
    await until(lambda: held.begun)
    assert held.begun == [["left", "late", "given up"]]
    gone.add("left")
    with pytest.raises(ClientGone):
        await left
    with pytest.raises(DeadlineExceeded):
        await late
    assert not held.ended.is_set()
    given_up.cancel()
    await until(held.ended.is_set)
    await until(lambda: not scheduler.busy)
    assert sorted(seen.drops) == ["cancelled", "deadline"]  # which of them the sweep finds first is open
    held.ended.clear()
    following = scheduler.submit("following", "k", 1)
    await until(lambda: len(held.begun) == 2)
    assert not held.ended.is_set()
    held.ended.set()
    assert await following == "following"
    assert held.found[0] is not held.found[1]


async def test_what_cannot_be_cancelled_is_not_told_and_answers_whoever_left() -> None:
    scheduler, held, seen = make(cancellable=False)
    answer = scheduler.submit("left", "k", 1, is_cancelled=lambda: bool(held.begun))
    await until(lambda: held.begun)
    late = scheduler.submit("late", "k", 1, deadline=scheduler.now())
    with pytest.raises(DeadlineExceeded):
        await late  # the sweep has been here
    held.ended.set()
    assert await answer == "left"
    assert (held.found, seen.drops) == ([None], ["deadline"])
