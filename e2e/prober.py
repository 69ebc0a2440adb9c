"""A constant-rate HTTP prober: counts every response, keeps who answered, and marks phases.

The rate is open-loop: a slow answer does not slow the next request down, so a stall shows as latency and not as missing
samples. Each request uses a connection of its own and is never retried: a request that is lost must be seen.
"""

import asyncio
import contextlib
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import aiohttp

REVISION_HEADER = "haizen-revision"
REQUEST_TIMEOUT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Sample:
    """One request: when it was sent (seconds since the start), how it ended, who answered, how long it took."""

    sent_at: float
    phase: str
    status: int
    error: str
    revision: str
    seconds: float

    @property
    def failed(self) -> bool:
        """Anything but 200 is a failure, a broken connection included."""
        return self.status != 200


@dataclass(frozen=True, slots=True)
class Target:
    """What is asked: a URL of the gateway, the Host header that names the service, and a JSON body."""

    url: str
    host: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


class Prober:
    """Sends `rate` requests a second from a thread of its own until stopped, at most `limit` of them."""

    def __init__(self, target: Target, rate: float = 50.0, limit: int = 60_000) -> None:
        self.target = target
        self.rate = rate
        self.limit = limit
        self.samples: list[Sample] = []
        self._phase = "start"
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="prober", daemon=True)
        self._started_at = 0.0

    def __enter__(self) -> "Prober":
        self._started_at = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=REQUEST_TIMEOUT_SECONDS + 10)

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Requests sent inside the block carry this phase's name."""
        before, self._phase = self._phase, name
        try:
            yield
        finally:
            self._phase = before

    def wait_for(self, count: int, phase: str, timeout_seconds: float = 120.0) -> list[Sample]:
        """Block until `count` requests of a phase were answered; returns them.

        Raises TimeoutError with what was seen when they do not come in time.
        """
        deadline = time.monotonic() + timeout_seconds
        while True:
            found = [sample for sample in list(self.samples) if sample.phase == phase]
            if len(found) >= count:
                return found
            if time.monotonic() > deadline:
                raise TimeoutError(f"phase {phase!r}: {len(found)} of {count} answers after {timeout_seconds:.0f} s")
            time.sleep(0.05)

    def failures(self) -> list[Sample]:
        """Every request that did not end in 200."""
        return [sample for sample in list(self.samples) if sample.failed]

    def revisions(self, phase: str) -> Counter[str]:
        """How many requests of a phase each revision answered."""
        return Counter(sample.revision for sample in list(self.samples) if sample.phase == phase and not sample.failed)

    def summary(self) -> dict[str, object]:
        """Counts and latencies (milliseconds) for the report."""
        samples = sorted(self.samples, key=lambda sample: sample.seconds)
        kinds = Counter(sample.error or str(sample.status) for sample in samples)

        def at(quantile: float) -> float:
            return round(samples[int(quantile * (len(samples) - 1))].seconds * 1000, 1) if samples else 0.0

        return {
            "requests": len(samples),
            "failed": sum(sample.failed for sample in samples),
            "kinds": dict(kinds),
            "p50_ms": at(0.5),
            "p99_ms": at(0.99),
            "max_ms": at(1.0),
        }

    async def _run(self) -> None:
        connector = aiohttp.TCPConnector(force_close=True, limit=0)
        timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_SECONDS)
        in_flight: set[asyncio.Task[None]] = set()
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            begin = time.monotonic()
            for number in range(self.limit):
                if self._stop.is_set():
                    break
                delay = begin + number / self.rate - time.monotonic()
                if delay > 0:
                    await asyncio.sleep(delay)
                task = asyncio.create_task(self._one(session, self._phase))
                in_flight.add(task)
                task.add_done_callback(in_flight.discard)
            await asyncio.gather(*in_flight, return_exceptions=True)

    async def _one(self, session: aiohttp.ClientSession, phase: str) -> None:
        begin = time.monotonic()
        status, error, revision = 0, "", ""
        headers = {"Host": self.target.host, "Content-Type": "application/json", **self.target.headers}
        try:
            async with session.post(self.target.url, data=self.target.body, headers=headers) as response:
                await response.read()
                status, revision = response.status, response.headers.get(REVISION_HEADER, "")
        except (aiohttp.ClientError, TimeoutError, OSError) as problem:
            error = type(problem).__name__
        self.samples.append(Sample(begin - self._started_at, phase, status, error, revision, time.monotonic() - begin))
