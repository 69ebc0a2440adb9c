"""Figures of one measurement, and what pairs of them say: medians of the ratios of neighbours in time. Pure."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Figures:
    """What a load saw of one server in one round."""

    requests_per_second: float
    p50_ms: float
    p99_ms: float
    requests: int = 0
    errors: int = 0
    error_samples: Sequence[str] = ()
    client_share: float = 0.0
    """Of its core, 0..1: near 1 the client is what is measured."""


@dataclass(frozen=True, slots=True)
class Round:
    """Ours and theirs, one after the other."""

    ours: Figures
    theirs: Figures


@dataclass(slots=True)
class Pair:
    """All rounds of one case against one contestant."""

    case: str
    other: str
    role: str
    rounds: list[Round] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Our requests per second over theirs: the median of the rounds' ratios."""
        return self._ratio(lambda figures: figures.requests_per_second)

    @property
    def p50(self) -> float:
        """Our median latency over theirs."""
        return self._ratio(lambda figures: figures.p50_ms)

    @property
    def p99(self) -> float:
        """Our 99th percentile over theirs."""
        return self._ratio(lambda figures: figures.p99_ms)

    @property
    def spread(self) -> tuple[float, float]:
        """The smallest and the largest ratio of requests per second."""
        ratios = self._ratios(lambda figures: figures.requests_per_second)
        return min(ratios), max(ratios)

    @property
    def errors(self) -> tuple[int, int]:
        """Ours and theirs."""
        return sum(each.ours.errors for each in self.rounds), sum(each.theirs.errors for each in self.rounds)

    def _ratio(self, value: Callable[[Figures], float]) -> float:
        return statistics.median(self._ratios(value))

    def _ratios(self, value: Callable[[Figures], float]) -> list[float]:
        return [ratio(value(each.ours), value(each.theirs)) for each in self.rounds]


def ratio(ours: float, theirs: float) -> float:
    """Ours over theirs; infinite where they did nothing, but 0 where neither did."""
    if theirs:
        return ours / theirs
    return float("inf") if ours else 0.0


def medians(figures: Sequence[Figures]) -> Figures:
    """The median of each figure; requests and errors are summed."""
    return Figures(
        statistics.median(each.requests_per_second for each in figures),
        statistics.median(each.p50_ms for each in figures),
        statistics.median(each.p99_ms for each in figures),
        sum(each.requests for each in figures),
        sum(each.errors for each in figures),
        [sample for each in figures for sample in each.error_samples][:3],
        max(each.client_share for each in figures),
    )


@dataclass(frozen=True, slots=True)
class Footprint:
    """What starting a server once showed."""

    name: str
    role: str
    start_seconds: float
    """From the process's start to the first right answer."""
    memory_mib: float
    """Of all its processes, shared pages counted once (PSS), after the first right answer."""
    processes: int
    memory_after_load_mib: float = 0.0
