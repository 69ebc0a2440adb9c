"""The keyed work queue: coalescing, one worker a key, backoff a key, fairness."""

import asyncio
import functools
import selectors
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any

from haizen_operator.backoff import Backoff
from haizen_operator.queue import WorkQueue

QUICK = Backoff(base_seconds=0.01, max_seconds=0.02)


@asynccontextmanager
async def running(queue: WorkQueue[str]) -> AsyncIterator[None]:
    task = asyncio.create_task(queue.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


class SimulatedTime(asyncio.SelectorEventLoop):
    """A loop whose clock stands still while there is work, and jumps to the next timer when there is none."""

    def __init__(self) -> None:
        self._now = 0.0
        loop = self

        class Selector(selectors.DefaultSelector):  # type: ignore[misc, valid-type]
            def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
                found = super().select(None if timeout is None else 0)
                if not found and timeout:
                    loop._now += timeout
                return found

        super().__init__(Selector())

    def time(self) -> float:
        return self._now


def in_simulated_time(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """Run the test on a clock of its own: what comes due first does not depend on how quick the machine is."""

    @functools.wraps(test)
    def run() -> None:
        with asyncio.Runner(loop_factory=SimulatedTime) as runner:
            runner.run(test())

    return run


async def until(condition: "asyncio.Event") -> None:
    await asyncio.wait_for(condition.wait(), 60)


async def test_key_added_many_times_while_it_waits_runs_once() -> None:
    done: list[str] = []
    finished = asyncio.Event()

    async def work(key: str) -> None:
        done.append(key)
        if key == "last":
            finished.set()

    queue: WorkQueue[str] = WorkQueue(work, workers=1, backoff=QUICK)
    for _ in range(5):
        queue.add("a")
    queue.add("last")
    assert queue.depth == 2
    async with running(queue):
        await until(finished)
    assert done == ["a", "last"]


async def test_key_added_while_it_is_worked_on_runs_once_more_and_never_twice_at_once() -> None:
    begun, go_on, finished = asyncio.Event(), asyncio.Event(), asyncio.Event()
    active, most, runs = 0, 0, 0

    async def work(key: str) -> None:
        nonlocal active, most, runs
        active, runs = active + 1, runs + 1
        most = max(most, active)
        begun.set()
        await go_on.wait()
        active -= 1
        if runs == 2:
            finished.set()

    queue: WorkQueue[str] = WorkQueue(work, workers=4, backoff=QUICK)
    queue.add("a")
    async with running(queue):
        await until(begun)
        for _ in range(3):
            queue.add("a")
        go_on.set()
        await until(finished)
        await asyncio.sleep(0.05)
    assert (most, runs) == (1, 2)


async def test_failed_key_comes_back_and_others_do_not_wait_for_it() -> None:
    done: list[str] = []
    finished = asyncio.Event()

    async def work(key: str) -> None:
        done.append(key)
        if key == "bad" and done.count("bad") < 4:
            raise RuntimeError("no")
        if done.count("bad") == 4:
            finished.set()

    queue: WorkQueue[str] = WorkQueue(work, workers=1, backoff=QUICK)
    queue.add("bad")
    queue.add("good")
    async with running(queue):
        await until(finished)
    assert done[:2] == ["bad", "good"]
    assert done.count("bad") == 4


async def test_busy_key_does_not_starve_the_rest() -> None:
    done: list[str] = []
    finished = asyncio.Event()

    async def work(key: str) -> float | None:
        done.append(key)
        if key == "other":
            finished.set()
        return 0.0 if key == "busy" else None

    queue: WorkQueue[str] = WorkQueue(work, workers=1, backoff=QUICK)
    queue.add("busy")
    queue.add("other")
    async with running(queue):
        await until(finished)
    assert done[:2] == ["busy", "other"]


async def test_key_wanted_later_comes_at_the_earliest_time_asked_for() -> None:
    finished = asyncio.Event()
    runs = 0

    async def work(key: str) -> None:
        nonlocal runs
        runs += 1
        finished.set()

    queue: WorkQueue[str] = WorkQueue(work, workers=1, backoff=QUICK)
    queue.add_after("a", 3600)
    queue.add_after("a", 0.01)
    queue.add_after("a", 1800)
    async with running(queue):
        await until(finished)
        assert queue.longest_busy_seconds() == 0.0
    assert runs == 1


async def test_urgent_keys_go_first_and_the_others_still_get_a_turn() -> None:
    done: list[str] = []
    finished = asyncio.Event()

    async def work(key: str) -> None:
        done.append(key)
        if len(done) == 12:
            finished.set()

    queue: WorkQueue[str] = WorkQueue(work, workers=1, backoff=QUICK)
    queue.add("news")
    queue.add("raised")
    for number in range(10):
        queue.add(f"edit {number}", urgent=True)
    queue.add("raised", urgent=True)
    async with running(queue):
        await until(finished)
    assert done == [*(f"edit {number}" for number in range(7)), "news", "edit 7", "edit 8", "edit 9", "raised"]


@in_simulated_time
async def test_in_a_burst_every_key_has_its_first_turn_before_any_has_its_second() -> None:
    done: list[str] = []
    finished = asyncio.Event()
    keys = [f"new {number}" for number in range(20)]

    async def work(key: str) -> float | None:
        done.append(key)
        await asyncio.sleep(0.002)  # so that second turns come due while first ones are still to be had
        if len(done) == 2 * len(keys):
            finished.set()
        return 0.001 if done.count(key) == 1 else None

    queue: WorkQueue[str] = WorkQueue(work, workers=2, backoff=QUICK)
    async with running(queue):
        for key in keys:  # they trickle in, as from a watch
            queue.add(key, urgent=True)
            await asyncio.sleep(0.005)
        await until(finished)
    assert done[:20] == keys
    assert sorted(done[20:]) == sorted(keys)


async def test_key_whose_time_has_come_does_not_wait_for_an_endless_burst() -> None:
    waited = asyncio.Event()

    async def work(key: str) -> None:
        if key == "patient":
            waited.set()

    queue: WorkQueue[str] = WorkQueue(work, workers=1, backoff=QUICK, patience_seconds=0.3)
    async with running(queue):
        queue.add_after("patient", 0.001)
        async with asyncio.timeout(30):
            while not waited.is_set():
                queue.add("edit", urgent=True)
                await asyncio.sleep(0.01)


@in_simulated_time
async def test_key_wanted_again_at_once_does_not_wait_for_calm() -> None:
    done: list[tuple[str, bool]] = []
    finished = asyncio.Event()

    async def work(key: str) -> float | None:
        done.append((key, asyncio.get_running_loop().time() > 0.0))
        if len(done) == 3:
            finished.set()
        return 0.0 if done == [("edit", False)] else None

    queue: WorkQueue[str] = WorkQueue(work, workers=1, backoff=QUICK)
    queue.add("edit", urgent=True)
    queue.add_after("later", 0.001)
    async with running(queue):
        await until(finished)
    assert done == [("edit", False), ("edit", False), ("later", True)], "what ran, and whether any time had passed"
