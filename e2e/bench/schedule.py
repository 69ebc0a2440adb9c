"""How long each measurement may take, so that the whole fits its time. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor

LEAST_SECONDS, MOST_SECONDS = 0.4, 3.0
WARMUP_SECONDS = 0.2
OVERHEAD_SECONDS = 0.1
"""Of a measurement: the client's start, stopping one server and waking the other."""


@dataclass(frozen=True, slots=True)
class Duel:
    """Two servers side by side in some cases."""

    cases: int
    start_seconds: float
    """To start the other one and to end it."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Rounds of so many seconds a side."""

    rounds: int
    seconds: float
    minutes: float
    """What the whole will take."""
    measurements: int


def plan(duels: Sequence[Duel], rounds: int, budget_minutes: float, extra_seconds: float = 0.0) -> Plan:
    """Share the time out between all sides of all rounds, after what starting and `extra_seconds` take.

    A side gets at least 0.4 s even when that takes longer than the budget, and at most 3 s.
    """
    measurements = sum(duel.cases for duel in duels) * rounds * 2
    fixed = sum(duel.start_seconds for duel in duels) + extra_seconds
    fixed += measurements * (WARMUP_SECONDS + OVERHEAD_SECONDS)
    left = (budget_minutes * 60 - fixed) / max(measurements, 1)
    seconds = min(max(floor(left * 100) / 100, LEAST_SECONDS), MOST_SECONDS)
    return Plan(rounds, seconds, (fixed + measurements * seconds) / 60, measurements)


def fixed(duels: Sequence[Duel], rounds: int, seconds: float, extra_seconds: float = 0.0) -> Plan:
    """The plan where the seconds of a side are given."""
    measurements = sum(duel.cases for duel in duels) * rounds * 2
    whole = sum(duel.start_seconds for duel in duels) + extra_seconds
    whole += measurements * (WARMUP_SECONDS + OVERHEAD_SECONDS + seconds)
    return Plan(rounds, seconds, whole / 60, measurements)
