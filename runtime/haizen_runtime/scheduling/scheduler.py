"""The asyncio shell around the batch policy: a future per request, batches on the event loop or on threads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Sequence
from functools import partial
from time import monotonic
from typing import Final, Generic, Protocol, TypeVar

from haizen_runtime.protocol.errors import ClientGone, DeadlineExceeded, QueueFull, QueueTimeout
from haizen_runtime.scheduling.cancellation import Cancellation
from haizen_runtime.scheduling.policy import BatchPolicy, Expiry, Waiting
from haizen_runtime.scheduling.threads import WorkerThreads

Request = TypeVar("Request")
Result = TypeVar("Result")

SWEEP_SECONDS: Final = 0.05
"""How often waiting and running requests are looked through for deadlines and clients that left."""


class Observer(Protocol):
    """Who wants to know about batches (metrics)."""

    def batch_done(self, rows: int, requests: int, on_loop: bool, waited: float, started: float, ended: float) -> None:
        """A batch was executed; `waited` is the sum over its requests. Seconds, on `time.monotonic`."""

    def dropped(self, why: str) -> None:
        """A request was rejected or dropped: queue_full, deadline, timeout or cancelled."""


class BatchScheduler(Generic[Request, Result]):
    """Runs requests in batches that form by themselves.

    Whatever arrived in the same turn of the event loop goes together, and whatever arrives while all threads are busy
    goes next. Nothing waits for company unless the policy says so.
    """

    def __init__(
        self,
        policy: BatchPolicy[tuple[Request, asyncio.Future[Result]]],
        execute: Callable[[Sequence[Request]], Sequence[Result | Exception]],
        threads: WorkerThreads,
        concurrency: int,
        loop_rows: int,
        observer: Observer,
        cancellable: bool = False,
    ) -> None:
        """`execute` never raises; `loop_rows` is the largest batch that may run on the event loop, 0 for none.

        `cancellable` says that a batch on a thread is to be told when nobody waits for it any more (CANCELLATION).
        """
        self.policy = policy
        self.execute = execute
        self.threads = threads
        self.concurrency = concurrency
        self.loop_rows = loop_rows
        self.observer = observer
        self.cancellable = cancellable
        self.running = 0
        self._executing: dict[int, list[Waiting[tuple[Request, asyncio.Future[Result]]]]] = {}
        self._cancellations: dict[int, Cancellation] = {}
        """Of the batches that are executing, where they can be cancelled."""
        self._batch_ids = 0
        self._loop = asyncio.get_running_loop()
        self._flush_scheduled = False
        self._in_company = False
        """Whether the last batch on the event loop had several requests."""
        self._timed = False
        """Whether requests ever had a time by which to have their turn."""
        self._timer: asyncio.TimerHandle | None = None
        self._sweeper: asyncio.TimerHandle | None = None

    def submit(
        self,
        request: Request,
        key: Hashable,
        rows: int,
        deadline: float | None = None,
        priority: int = 0,
        is_cancelled: Callable[[], bool] | None = None,
        start_by: float | None = None,
    ) -> asyncio.Future[Result]:
        """Queue a request. The future gives its result; raises QueueFull at once when the queue is full."""
        loop = self._loop
        now = loop.time()
        future: asyncio.Future[Result] = loop.create_future()
        waiting = Waiting((request, future), key, rows, now, deadline, priority, is_cancelled, start_by)
        if start_by is not None:
            self._timed = True
        if not self.policy.offer(waiting):
            self.observer.dropped("queue_full")
            raise QueueFull(f"The queue is full ({self.policy.queue_limit} requests wait); try again later.")
        if not self._flush_scheduled:
            self._flush_scheduled = True
            loop.call_soon(self._look_again if self._in_company else self._flush)
        return future

    def now(self) -> float:
        """The clock of deadlines."""
        return self._loop.time()

    @property
    def busy(self) -> bool:
        """Whether a request waits or runs."""
        return bool(len(self.policy) or self.running)

    def close(self) -> None:
        """Stop the timers; what waits is not run."""
        for handle in (self._timer, self._sweeper):
            if handle is not None:
                handle.cancel()
        self._timer = self._sweeper = None

    def _look_again(self) -> None:
        """Flush after the event loop has taken in what came while it was busy; it does not wait for more."""
        self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_scheduled = False
        now = self._loop.time()
        if self._timed:  # not only when the sweep comes by: none may have its turn too late
            self._expire(now)
        while self.running < self.concurrency:
            batch = self.policy.take(now)
            if not batch:
                break
            rows = sum(waiting.rows for waiting in batch) if len(batch) > 1 else batch[0].rows
            if rows <= self.loop_rows:
                self._run_on_loop(batch, rows)
                if len(self.policy):  # let the loop breathe between batches
                    self._schedule_flush()
                return
            self._run_on_thread(batch, rows)
        if len(self.policy) or self._executing:
            self._arm()

    def _schedule_flush(self) -> None:
        if not self._flush_scheduled:
            self._flush_scheduled = True
            self._loop.call_soon(self._flush)

    def _run_on_loop(self, batch: list[Waiting[tuple[Request, asyncio.Future[Result]]]], rows: int) -> None:
        self._in_company = len(batch) > 1
        started = monotonic()
        results = self.execute([waiting.item[0] for waiting in batch])
        ended = monotonic()
        _deliver(batch, results)
        self.observer.batch_done(rows, len(batch), True, _waited(batch, started), started, ended)

    def _run_on_thread(self, batch: list[Waiting[tuple[Request, asyncio.Future[Result]]]], rows: int) -> None:
        self.running += 1
        self._batch_ids += 1
        batch_id = self._batch_ids
        self._executing[batch_id] = batch
        requests = [waiting.item[0] for waiting in batch]
        execute = self.execute
        if self.cancellable:
            cancellation = self._cancellations[batch_id] = Cancellation()
            execute = partial(cancellation.run, execute)

        def work() -> None:
            started = monotonic()
            results = execute(requests)
            ended = monotonic()
            try:
                self._loop.call_soon_threadsafe(self._done, batch_id, results, rows, started, ended)
            except RuntimeError:  # the loop is closed: the process is ending
                return

        self.threads.submit(work)

    def _done(
        self, batch_id: int, results: Sequence[Result | Exception], rows: int, started: float, ended: float
    ) -> None:
        self.running -= 1
        batch = self._executing.pop(batch_id)
        self._cancellations.pop(batch_id, None)
        _deliver(batch, results)
        self.observer.batch_done(rows, len(batch), False, _waited(batch, started), started, ended)
        if len(self.policy) and not self._flush_scheduled:
            self._flush()

    def _arm(self) -> None:
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(SWEEP_SECONDS, self._sweep)
        due = self.policy.next_due() if self.policy.max_delay_seconds and self.running < self.concurrency else None
        if due is not None and self._timer is None:
            self._timer = self._loop.call_at(due, self._due)

    def _due(self) -> None:
        self._timer = None
        self._flush()

    def _sweep(self) -> None:
        self._sweeper = None
        now = self._loop.time()
        self._expire(now)
        for batch in self._executing.values():
            for waiting in batch:
                if waiting.deadline is not None and now >= waiting.deadline and not waiting.item[1].done():
                    self._drop(waiting, Expiry.DEADLINE)
        for batch_id, cancellation in self._cancellations.items():
            if not self._is_awaited(self._executing[batch_id]):
                cancellation.cancel()
        if len(self.policy) or self._executing:
            self._arm()

    def _is_awaited(self, batch: Sequence[Waiting[tuple[Request, asyncio.Future[Result]]]]) -> bool:
        """Whether anybody waits for a batch that runs; who left is dropped."""
        awaited = False
        for waiting in batch:
            if waiting.item[1].done():
                continue
            if waiting.is_cancelled is not None and waiting.is_cancelled():
                self._drop(waiting, Expiry.CANCELLED)
            else:
                awaited = True
        return awaited

    def _expire(self, now: float) -> None:
        for waiting, why in self.policy.expire(now):
            self._drop(waiting, why)

    def _drop(self, waiting: Waiting[tuple[Request, asyncio.Future[Result]]], why: Expiry) -> None:
        self.observer.dropped(why.value)
        future = waiting.item[1]
        if future.done():
            return
        if why is Expiry.DEADLINE:
            future.set_exception(DeadlineExceeded("The request was not answered before its deadline."))
        elif why is Expiry.TIMEOUT:
            future.set_exception(QueueTimeout("The request waited too long for its turn; try again later."))
        else:
            future.set_exception(ClientGone("The client closed the connection before the answer."))


def _waited(batch: Sequence[Waiting[tuple[Request, asyncio.Future[Result]]]], started: float) -> float:
    """Seconds that the requests spent in the queue, together."""
    if len(batch) == 1:
        return started - batch[0].arrived
    return sum(started - waiting.arrived for waiting in batch)


def _deliver(
    batch: Sequence[Waiting[tuple[Request, asyncio.Future[Result]]]], results: Sequence[Result | Exception]
) -> None:
    for waiting, result in zip(batch, results, strict=True):
        future = waiting.item[1]
        if future.done():  # dropped or cancelled meanwhile
            continue
        if isinstance(result, Exception):
            future.set_exception(result)
        else:
            future.set_result(result)
