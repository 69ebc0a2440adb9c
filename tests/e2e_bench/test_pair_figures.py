import pytest

from e2e.bench.figures import Figures, Pair, Round, medians, ratio


def figures(rate: float, p50: float = 1.0, p99: float = 2.0, errors: int = 0) -> Figures:
    return Figures(rate, p50, p99, requests=int(rate), errors=errors)


def test_the_ratio_is_the_median_of_neighbours_not_of_all_rounds() -> None:
    # The machine got twice as slow after the first round; side by side, ours was always twice as fast.
    pair = Pair("iris-64", "peer", "peer")
    for speed in (1.0, 0.5, 0.5):
        pair.rounds.append(Round(figures(2000 * speed), figures(1000 * speed)))
    assert pair.rate == 2.0
    assert pair.spread == (2.0, 2.0)


def test_latencies_have_ratios_of_their_own() -> None:
    pair = Pair("iris-1", "peer", "peer")
    for ours, theirs in ((1.0, 4.0), (2.0, 4.0), (3.0, 4.0)):
        pair.rounds.append(Round(figures(1, ours, 3 * ours), figures(1, theirs, theirs)))
    assert pair.p50 == 0.5
    assert pair.p99 == 1.5


def test_errors_of_all_rounds_count() -> None:
    pair = Pair("iris-64", "peer", "peer", [Round(figures(1, errors=2), figures(1, errors=0))] * 3)
    assert pair.errors == (6, 0)


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        pytest.param(6.0, 3.0, 2.0, id="both"),
        pytest.param(6.0, 0.0, float("inf"), id="they answered nothing"),
        pytest.param(0.0, 3.0, 0.0, id="we answered nothing"),
        pytest.param(0.0, 0.0, 0.0, id="nobody did"),
    ],
)
def test_ratio(ours: float, theirs: float, expected: float) -> None:
    assert ratio(ours, theirs) == expected


def test_medians_keep_every_error() -> None:
    middle = medians([figures(1, errors=1), figures(9), figures(5, errors=2)])
    assert (middle.requests_per_second, middle.requests, middle.errors) == (5, 15, 3)
