"""Why adaptive batches never wait (docs/design/0008-batching.md): simulated in made-up time with the real policy."""

from __future__ import annotations

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haizen_runtime.scheduling.policy import BatchPolicy, Waiting
from tests.runtime.scheduling.simulation import latencies, poisson

MAX_ROWS = 32
KINDS = {
    "a-cnn": (0.005, 0.001),
    "a-large-fixed-cost": (0.010, 0.00005),
    "a-small-tree": (0.0004, 0.000005),
    "cost-by-the-row": (0.0001, 0.002),
}
"""Seconds of a batch: for the batch itself, and for each row."""
DELAYS = (0.1, 0.25, 0.5, 1.0, 2.0)
"""Fixed delays, as multiples of what a batch itself costs."""


def percentile(values: list[float], part: float) -> float:
    return sorted(values)[int(part * len(values))]


@pytest.mark.parametrize("load", [0.02, 0.1, 0.3, 0.6, 0.9, 0.97])
@pytest.mark.parametrize("kind", KINDS)
def test_no_fixed_delay_is_better_even_if_chosen_with_hindsight(kind: str, load: float) -> None:
    batch, row = KINDS[kind]
    capacity = MAX_ROWS / (batch + MAX_ROWS * row)
    arrivals = poisson(load * capacity, 2500, seed=1)

    def run(delay: float) -> list[float]:
        return latencies(arrivals, lambda rows: batch + rows * row, MAX_ROWS, delay)

    adaptive = run(0.0)
    fixed = [run(delay * batch) for delay in DELAYS]
    assert statistics.fmean(adaptive) <= 1.02 * min(map(statistics.fmean, fixed))
    assert percentile(adaptive, 0.99) <= 1.04 * min(percentile(each, 0.99) for each in fixed)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 40), st.floats(0, 5)), min_size=1), st.integers(1, 32))
def test_nothing_waits_for_company(requests: list[tuple[str, int, float]], max_rows: int) -> None:
    policy: BatchPolicy[int] = BatchPolicy(max_rows, 0.0, len(requests))
    now = 0.0
    for number, (key, rows, gap) in enumerate(requests):
        now += gap
        assert policy.offer(Waiting(number, key, rows, now))
    while len(policy):
        assert policy.take(now)


@given(st.sampled_from(sorted(KINDS)), st.integers(1, 20))
def test_an_idle_server_answers_at_once(kind: str, count: int) -> None:
    batch, row = KINDS[kind]
    arrivals = [float(number) for number in range(count)]
    assert latencies(arrivals, lambda rows: batch + rows * row, MAX_ROWS, 0.0) == pytest.approx([batch + row] * count)
