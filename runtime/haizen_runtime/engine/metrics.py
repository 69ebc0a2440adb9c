"""Counters and histograms of one model: plain numbers, cheap to raise on the hot path; a door writes them out.

The buckets are those of prometheus_client's defaults for times, which KServe's histograms have too.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from haizen_runtime.protocol.errors import RequestError

SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
ROWS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class Histogram:
    """Counts per bucket, and the sum. Used from the event loop only."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        self.counts[0 if value <= self.bounds[0] else bisect_left(self.bounds, value)] += 1
        self.total += value

    def __add__(self, other: Histogram) -> Histogram:
        """Both together; their bounds are equal."""
        result = Histogram(self.bounds)
        result.counts = [mine + theirs for mine, theirs in zip(self.counts, other.counts, strict=True)]
        result.total = self.total + other.total
        return result

    def cumulative(self) -> list[tuple[str, int]]:
        """Prometheus' buckets: upper bound and how many values are not above it."""
        buckets, running = [], 0
        for bound, count in zip((*map(float, self.bounds), float("inf")), self.counts, strict=True):
            running += count
            buckets.append(("+Inf" if bound == float("inf") else str(bound), running))
        return buckets


@dataclass(frozen=True, slots=True)
class WorkerUsage:
    """What one worker process of a model costs."""

    index: int
    pid: int
    rss_bytes: int
    """Its resident memory."""
    restarts: int
    """How often the process in its place has ended and was replaced."""


class ModelMetrics:
    """What one model's requests did."""

    def __init__(self) -> None:
        self.preprocess = Histogram(SECONDS)
        """Seconds from the body to tensors."""
        self.predict = Histogram(SECONDS)
        """Seconds in the queue and in the model."""
        self.postprocess = Histogram(SECONDS)
        """Seconds from tensors to the body."""
        self.explain = Histogram(SECONDS)
        """Seconds in the queue and in the model, of explanations."""
        self.batch_rows = Histogram(ROWS)
        self.requests: dict[tuple[str, int], int] = {}
        """Answers by door and status code."""
        self.in_flight = 0
        self.drops: dict[str, int] = {}
        """Requests rejected or dropped, by reason."""
        self.batch_seconds: dict[int, list[float]] = {}
        """By the rows of a batch: how many such batches ran, and their seconds together."""
        self.executed_requests = 0
        """Requests in all those batches."""
        self.queue_seconds = 0.0
        """Seconds that these requests waited, together."""
        self.last_execution = 0.0
        """When the last batch ended (`time.monotonic`); 0 for never."""
        self.batches = {"loop": 0, "thread": 0}
        """Batches by where they ran."""
        self.loads = {"ok": 0, "failed": 0}
        """Loads and reloads, by what came of them."""
        self.load_seconds = 0.0
        self.warmup_seconds = 0.0

    def batch_done(self, rows: int, requests: int, on_loop: bool, waited: float, started: float, ended: float) -> None:
        """A batch was executed; `waited` is the sum over its requests. Seconds, on `time.monotonic`."""
        batches = self.batch_seconds.get(rows)
        if batches is None:
            batches = self.batch_seconds[rows] = [0, 0.0]
        batches[0] += 1
        batches[1] += ended - started
        self.executed_requests += requests
        self.queue_seconds += waited
        self.last_execution = ended
        self.batch_rows.observe(rows)
        self.batches["loop" if on_loop else "thread"] += 1

    def dropped(self, why: str) -> None:
        """A request was rejected or dropped."""
        self.drops[why] = self.drops.get(why, 0) + 1

    def answered(self, door: str, status: int) -> None:
        """A request got its answer."""
        key = (door, status)
        self.requests[key] = self.requests.get(key, 0) + 1


@dataclass(slots=True)
class Outcome:
    """What comes of a request."""

    status: int = 200
    """The HTTP status."""


@contextmanager
def counted(metrics: ModelMetrics, door: str) -> Iterator[Outcome]:
    """Count a request whatever comes of it: in flight in the block, then by the status of its error or outcome."""
    metrics.in_flight += 1
    outcome = Outcome()
    try:
        yield outcome
    except BaseException as error:
        outcome.status = error.status if isinstance(error, RequestError) else 500
        raise
    finally:
        metrics.in_flight -= 1
        metrics.answered(door, outcome.status)
