"""A server in made-up time: requests arrive, batches run one after the other, nothing sleeps."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from haizen_runtime.scheduling.policy import BatchPolicy, Waiting


def poisson(rate: float, count: int, seed: int) -> list[float]:
    """Arrivals that know nothing of each other, `rate` a second."""
    source, now, arrivals = random.Random(seed), 0.0, []
    for _ in range(count):
        now += source.expovariate(rate)
        arrivals.append(now)
    return arrivals


def latencies(
    arrivals: Sequence[float], seconds_of: Callable[[int], float], max_rows: int, delay_seconds: float
) -> list[float]:
    """What each request takes from its arrival to its answer, with batches formed by the real policy."""
    policy: BatchPolicy[float] = BatchPolicy(max_rows, delay_seconds, len(arrivals))
    answered: list[float] = []
    now = free_at = 0.0
    coming = 0
    while coming < len(arrivals) or len(policy):
        if now >= free_at and (batch := policy.take(now)):
            free_at = now + seconds_of(len(batch))
            answered += [free_at - waiting.arrived for waiting in batch]
        events = [arrivals[coming]] if coming < len(arrivals) else []
        due = policy.next_due()
        if due is not None:
            events.append(max(due, free_at))
        if len(policy) and free_at > now:
            events.append(free_at)
        if not events:
            break
        now = max(now, min(events))
        while coming < len(arrivals) and arrivals[coming] <= now:
            policy.offer(Waiting(arrivals[coming], "k", 1, arrivals[coming]))
            coming += 1
    return answered
