"""How often a batch is timed before it is decided where batches run."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, repeat

import pytest

from haizen_runtime.engine import warmup


class Clock:
    """Time that passes only while the model runs."""

    def __init__(self, costs: Iterator[float]) -> None:
        self._costs = costs
        self.now = 0.0
        self.runs = 0

    def run(self) -> None:
        self.now += next(self._costs)
        self.runs += 1

    def perf_counter(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("costs", "fastest", "runs"),
    [
        pytest.param(repeat(0.1), 0.1, warmup.REPEATS, id="a slow model is run as seldom as can be"),
        pytest.param(repeat(0.00001), 0.00001, warmup.MOST_REPEATS, id="a cheap one as often as may be"),
        pytest.param(chain(repeat(0.003, 6), repeat(0.00011)), 0.00011, 25, id="interrupted at first, for 18 of 20 ms"),
        pytest.param(chain(repeat(0.01, 4), [0.0001], repeat(1)), 0.0001, 5, id="once undisturbed, and the time is up"),
    ],
)
def test_the_fastest_of_enough_runs_counts(
    monkeypatch: pytest.MonkeyPatch, costs: Iterator[float], fastest: float, runs: int
) -> None:
    clock = Clock(costs)
    monkeypatch.setattr(warmup, "time", clock)
    assert warmup._fastest(clock.run) == pytest.approx(fastest)
    assert clock.runs == runs
