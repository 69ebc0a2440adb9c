"""The asyncio shell: batches form from one loop turn, errors stay with their request, nothing waits for ever."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from haizen_runtime.protocol.errors import ClientGone, DeadlineExceeded, QueueFull
from haizen_runtime.scheduling.policy import BatchPolicy
from haizen_runtime.scheduling.scheduler import BatchScheduler
from haizen_runtime.scheduling.threads import WorkerThreads


class Seen:
    def __init__(self) -> None:
        self.batches: list[tuple[int, int, bool]] = []
        self.drops: list[str] = []
        self.times: list[tuple[float, float, float]] = []

    def batch_done(self, rows: int, requests: int, on_loop: bool, waited: float, started: float, ended: float) -> None:
        self.batches.append((rows, requests, on_loop))
        self.times.append((waited, started, ended))

    def dropped(self, why: str) -> None:
        self.drops.append(why)


def echo(requests: Sequence[Any]) -> list[Any]:
    return [ValueError("poison") if request == "poison" else request for request in requests]


def make(
    execute: Callable[[Sequence[Any]], Sequence[Any]] = echo, loop_rows: int = 0, queue_limit: int = 10, **more: Any
) -> tuple[BatchScheduler[Any, Any], Seen]:
    seen = Seen()
    policy: BatchPolicy[Any] = BatchPolicy(4, more.get("delay", 0.0), queue_limit)
    return BatchScheduler(policy, execute, WorkerThreads(1, "test"), 1, loop_rows, seen), seen


@pytest.mark.parametrize("loop_rows", [pytest.param(4, id="on-the-loop"), pytest.param(0, id="on-a-thread")])
async def test_requests_of_one_turn_run_together(loop_rows: int) -> None:
    scheduler, seen = make(loop_rows=loop_rows)
    futures = [scheduler.submit(number, "k", 1) for number in range(3)]
    assert await asyncio.gather(*futures) == [0, 1, 2]
    assert seen.batches == [(3, 3, loop_rows > 0)]


@pytest.mark.parametrize(
    ("before", "loop_rows", "batches"),
    [
        pytest.param(2, 4, [(2, 2, True)], id="company-before"),
        pytest.param(1, 4, [(1, 1, True), (1, 1, True)], id="alone-before"),
        pytest.param(0, 4, [(1, 1, True), (1, 1, True)], id="the-first"),
        pytest.param(2, 0, [(1, 1, False), (1, 1, False)], id="a-thread-begins-at-once"),
    ],
)
async def test_a_batch_on_the_loop_takes_what_came_while_the_loop_was_busy(
    before: int, loop_rows: int, batches: list[tuple[int, int, bool]]
) -> None:
    scheduler, seen = make(loop_rows=loop_rows)
    await asyncio.gather(*[scheduler.submit(number, "k", 1) for number in range(before)])
    del seen.batches[:]
    first = scheduler.submit("first", "k", 1)
    await asyncio.sleep(0)
    assert await asyncio.gather(first, scheduler.submit("second", "k", 1)) == ["first", "second"]
    assert seen.batches == batches


async def test_a_batch_too_large_for_the_loop_runs_on_a_thread() -> None:
    threads: list[str] = []

    def execute(requests: Sequence[Any]) -> list[Any]:
        threads.append(threading.current_thread().name)
        return list(requests)

    scheduler, seen = make(execute, loop_rows=1)
    await asyncio.gather(scheduler.submit(1, "k", 1), scheduler.submit(2, "k", 1))
    await scheduler.submit(3, "k", 1)
    assert threads == ["test-1", threading.main_thread().name]
    assert [on_loop for _, _, on_loop in seen.batches] == [False, True]


async def test_an_error_reaches_only_its_own_request() -> None:
    scheduler, _ = make(loop_rows=4)
    results = await asyncio.gather(
        *[scheduler.submit(item, "k", 1) for item in (1, "poison", 2)], return_exceptions=True
    )
    assert results[0] == 1
    assert isinstance(results[1], ValueError)
    assert results[2] == 2


async def test_a_full_queue_answers_at_once() -> None:
    scheduler, seen = make(queue_limit=2)
    futures = [scheduler.submit(number, "k", 1) for number in range(2)]
    with pytest.raises(QueueFull, match="2 requests wait") as raised:
        scheduler.submit(3, "k", 1)
    assert raised.value.retry_after_seconds == 1
    assert seen.drops == ["queue_full"]
    assert await asyncio.gather(*futures) == [0, 1]


async def test_deadline_of_a_running_and_of_a_waiting_request() -> None:
    release = threading.Event()

    def slow(requests: Sequence[Any]) -> list[Any]:
        release.wait(30)
        return list(requests)

    scheduler, seen = make(slow)
    now = asyncio.get_running_loop().time()
    running = scheduler.submit(1, "k", 1, deadline=now + 0.01)
    await asyncio.sleep(0)
    queued = scheduler.submit(2, "k", 1, deadline=now + 0.01)
    for future in (running, queued):
        with pytest.raises(DeadlineExceeded):
            await future
    release.set()
    assert await scheduler.submit(3, "k", 1) == 3
    assert seen.drops == ["deadline", "deadline"]


async def test_work_of_a_client_that_left_is_not_done() -> None:
    release, done = threading.Event(), []

    def slow(requests: Sequence[Any]) -> list[Any]:
        release.wait(30)
        done.extend(requests)
        return list(requests)

    scheduler, seen = make(slow)
    first = scheduler.submit(1, "k", 1)
    await asyncio.sleep(0)
    abandoned = scheduler.submit(2, "k", 1, is_cancelled=lambda: True)
    with pytest.raises(ClientGone):
        await abandoned
    release.set()
    assert await first == 1
    assert await scheduler.submit(3, "k", 1) == 3
    assert done == [1, 3]
    assert seen.drops == ["cancelled"]


async def test_a_cancelled_future_does_not_disturb_its_batch() -> None:
    scheduler, _ = make(loop_rows=4)
    futures = [scheduler.submit(number, "k", 1) for number in range(3)]
    futures[1].cancel()
    assert await futures[0] == 0
    assert await futures[2] == 2


async def test_waits_for_company_only_as_long_as_told() -> None:
    scheduler, seen = make(loop_rows=4, delay=0.05)
    assert await asyncio.gather(scheduler.submit(1, "k", 1), scheduler.submit(2, "k", 1)) == [1, 2]
    assert seen.batches == [(2, 2, True)]
    ((waited, _, _),) = seen.times
    assert waited >= 2 * 0.05


async def test_who_has_all_the_company_there_may_be_waits_no_longer() -> None:
    scheduler, seen = make(loop_rows=4, delay=3600)
    first = scheduler.submit(1, "k", 1)
    await asyncio.sleep(0.01)
    assert not first.done()
    assert await asyncio.gather(first, *(scheduler.submit(number, "k", 1) for number in (2, 3, 4))) == [1, 2, 3, 4]
    assert seen.batches == [(4, 4, True)]


@pytest.mark.parametrize("loop_rows", [pytest.param(4, id="on-the-loop"), pytest.param(0, id="on-a-thread")])
async def test_batches_are_timed(loop_rows: int) -> None:
    """The wait of a batch is that of its requests together; it starts after they came, and ends after it started."""
    scheduler, seen = make(loop_rows=loop_rows)
    before = scheduler.now()
    await asyncio.gather(*(scheduler.submit(number, "k", 1) for number in range(3)))
    while not seen.times:
        await asyncio.sleep(0)
    ((waited, started, ended),) = seen.times
    assert before <= started <= ended <= scheduler.now()
    assert 0 <= waited <= 3 * (started - before)
