"""The bars of the runtime's figures, and whether a run held them. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from e2e.bench.figures import Footprint, Pair

PEER, FLOOR, OURS = "peer", "floor", "haizen"
BARE, PROTOTYPE, GRPC_AIO, JSON_PAIR = "bare ASGI", "prototype", "bare grpc.aio", "parse + dump"
ONE_PROCESS = "haizen, 1 process"


class Measure(StrEnum):
    """Which ratio of ours to theirs is looked at."""

    RATE = "requests/s"
    P50 = "p50"
    P99 = "p99"


@dataclass(frozen=True, slots=True)
class Bar:
    """At least (for rates) or at most (for latencies) so many times what a floor, or the best of the peers, has."""

    case: str
    measure: Measure
    bound: float
    against: str = PEER

    @property
    def text(self) -> str:
        """As it is read."""
        side = "at least" if self.measure is Measure.RATE else "at most"
        other = "the best peer's" if self.against == PEER else f"{self.against}'s"
        return f"{side} {self.bound:g} × {other} {self.measure.value}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A bar beside what was seen."""

    case: str
    bar: str
    seen: str
    held: bool | None
    """None where nothing was measured that says so."""


BARS = (
    Bar("iris-64", Measure.RATE, 0.75, PROTOTYPE),
    Bar("iris-64", Measure.RATE, 3.0),
    Bar("iris-64", Measure.P99, 1.0),
    Bar("iris-16", Measure.RATE, 0.75, PROTOTYPE),
    Bar("iris-16", Measure.RATE, 2.5),
    Bar("iris-1", Measure.P50, 0.5),
    Bar("iris-grpc-64", Measure.RATE, 0.75, BARE),
    Bar("iris-grpc-64", Measure.RATE, 2.0, GRPC_AIO),
    Bar("iris-grpc-64", Measure.RATE, 4.0),
    Bar("image-binary", Measure.RATE, 0.6, BARE),
    Bar("image-json", Measure.RATE, 0.7, JSON_PAIR),
    Bar("image-json", Measure.RATE, 1.5),
    Bar("image-grpc", Measure.RATE, 0.8, BARE),
    Bar("two-processes", Measure.RATE, 1.6, ONE_PROCESS),
)


def judge(bar: Bar, pairs: Iterable[Pair]) -> Verdict:
    """Hold the pairs of the bar's case against it. Any wrong answer, refusal or dropped call misses it."""
    concerned = [
        pair
        for pair in pairs
        if pair.case == bar.case
        and pair.rounds
        and (pair.role == PEER if bar.against == PEER else pair.other == bar.against)
    ]
    if not concerned:
        return Verdict(bar.case, bar.text, "not measured", None)
    wants_more = bar.measure is Measure.RATE
    worst = (min if wants_more else max)(concerned, key=lambda pair: _value(bar, pair))
    value = _value(bar, worst)
    held = value >= bar.bound if wants_more else value <= bar.bound
    seen = f"{value:.2f} × ({worst.other})"
    errors = sum(pair.errors[0] for pair in concerned)
    if errors:
        seen, held = f"{seen}, {errors} errors of ours", False
    return Verdict(bar.case, bar.text, seen, held)


def judge_footprints(starts: Sequence[Pair], footprints: Sequence[Footprint]) -> list[Verdict]:
    """Start at most half of the best peer's, memory at most the best peer's.

    `starts` are pairs of start times, as latencies; the peers that are not among them took far longer.
    """
    verdicts = []
    start_bar, memory_bar = "at most 0.5 × the best peer's", "at most the best peer's"
    peers = [pair for pair in starts if pair.role == PEER]
    if peers:
        worst = max(peers, key=lambda pair: pair.p50)
        verdicts.append(Verdict("start", start_bar, f"{worst.p50:.2f} × ({worst.other})", worst.p50 <= 0.5))
    else:
        verdicts.append(Verdict("start", start_bar, "not measured", None))
    ours = [each for each in footprints if each.role == OURS]
    theirs = [each for each in footprints if each.role == PEER]
    if ours and theirs:
        best = min(theirs, key=lambda each: each.memory_mib)
        seen = f"{ours[0].memory_mib:.0f} MiB, {best.name} {best.memory_mib:.0f} MiB"
        verdicts.append(Verdict("memory", memory_bar, seen, ours[0].memory_mib <= best.memory_mib))
    else:
        verdicts.append(Verdict("memory", memory_bar, "not measured", None))
    return verdicts


def _value(bar: Bar, pair: Pair) -> float:
    return {Measure.RATE: pair.rate, Measure.P50: pair.p50, Measure.P99: pair.p99}[bar.measure]
