import pytest

from e2e.bench.bars import FLOOR, OURS, PEER, PROTOTYPE, Bar, Measure, judge, judge_footprints
from e2e.bench.figures import Figures, Footprint, Pair, Round


def pair(other: str, ours: float, theirs: float, role: str = PEER, errors: int = 0, case: str = "iris-64") -> Pair:
    """A pair whose rates and latencies are these numbers."""
    rounds = [Round(Figures(ours, ours, ours, errors=errors), Figures(theirs, theirs, theirs))]
    return Pair(case, other, role, rounds)


THRICE = Bar("iris-64", Measure.RATE, 3.0)
P99 = Bar("iris-64", Measure.P99, 1.0)
OF_THE_PROTOTYPE = Bar("iris-64", Measure.RATE, 0.75, PROTOTYPE)


@pytest.mark.parametrize(
    ("bar", "pairs", "held"),
    [
        pytest.param(THRICE, [pair("a", 900, 300), pair("b", 900, 100)], True, id="three times the best"),
        pytest.param(THRICE, [pair("a", 899, 300), pair("b", 900, 100)], False, id="not of the best"),
        pytest.param(THRICE, [pair("a", 900, 100), pair("bare", 1, 9, FLOOR)], True, id="a floor is no peer"),
        pytest.param(THRICE, [pair("a", 900, 100, errors=1)], False, id="an error of ours"),
        pytest.param(P99, [pair("a", 10, 11), pair("b", 10, 30)], True, id="below the best latency"),
        pytest.param(P99, [pair("a", 10, 9), pair("b", 10, 30)], False, id="above the best latency"),
        pytest.param(OF_THE_PROTOTYPE, [pair(PROTOTYPE, 75, 100, FLOOR), pair("a", 75, 900)], True, id="the floor"),
        pytest.param(OF_THE_PROTOTYPE, [pair(PROTOTYPE, 74, 100, FLOOR)], False, id="below the floor's share"),
        pytest.param(OF_THE_PROTOTYPE, [pair("a", 75, 100)], None, id="the floor was not measured"),
        pytest.param(THRICE, [pair("a", 9, 1, case="iris-16")], None, id="another case"),
        pytest.param(THRICE, [Pair("iris-64", "a", PEER)], None, id="no round was finished"),
    ],
)
def test_judge(bar: Bar, pairs: list[Pair], held: bool | None) -> None:
    assert judge(bar, pairs).held is held


def test_the_verdict_names_the_best_peer() -> None:
    assert judge(THRICE, [pair("slow", 900, 100), pair("quick", 900, 300)]).seen == "3.00 × (quick)"


@pytest.mark.parametrize(
    ("start", "memory", "held"),
    [
        pytest.param(500, 100, [True, True], id="both"),
        pytest.param(501, 100, [False, True], id="starts too slowly"),
        pytest.param(500, 201, [True, False], id="takes too much memory"),
    ],
)
def test_judge_footprints(start: float, memory: float, held: list[bool]) -> None:
    starts = [pair("a", start, 1000, case="start"), pair("b", start, 4000, case="start")]
    footprints = [
        Footprint("haizen", OURS, start / 1000, memory, 1),
        Footprint("a", PEER, 1.0, 300, 1),
        Footprint("b", PEER, 4.0, 200, 4),
        Footprint("bare", FLOOR, 0.1, 20, 1),
    ]
    assert [verdict.held for verdict in judge_footprints(starts, footprints)] == held


def test_footprints_that_nobody_took_say_so() -> None:
    assert [verdict.held for verdict in judge_footprints([], [])] == [None, None]
