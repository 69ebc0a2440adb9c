import pytest

from e2e.bench.schedule import LEAST_SECONDS, MOST_SECONDS, Duel, fixed, plan

DUELS = [Duel(cases=3, start_seconds=20.0), Duel(cases=1, start_seconds=10.0)]


def test_the_plan_fills_its_budget() -> None:
    chosen = plan(DUELS, rounds=7, budget_minutes=2.0)
    assert chosen.measurements == 4 * 7 * 2
    assert LEAST_SECONDS < chosen.seconds < MOST_SECONDS
    assert chosen.minutes == pytest.approx(2.0, abs=0.02)


def test_what_else_takes_time_is_taken_off() -> None:
    assert plan(DUELS, 7, 2.0, extra_seconds=30).seconds < plan(DUELS, 7, 2.0).seconds


@pytest.mark.parametrize(
    ("minutes", "seconds"),
    [
        pytest.param(0.1, LEAST_SECONDS, id="too little time: it takes longer, and says so"),
        pytest.param(600.0, MOST_SECONDS, id="more than there is use for"),
    ],
)
def test_a_side_has_bounds(minutes: float, seconds: float) -> None:
    assert plan(DUELS, 7, minutes).seconds == seconds


def test_too_little_time_is_told() -> None:
    assert plan(DUELS, 7, 0.1).minutes > 0.5


def test_nothing_to_measure_needs_no_time() -> None:
    assert plan([], 7, 25.0).minutes == 0


def test_given_seconds_are_kept() -> None:
    chosen = fixed(DUELS, rounds=1, seconds=0.5)
    assert (chosen.seconds, chosen.measurements) == (0.5, 8)
    assert chosen.minutes == pytest.approx((30 + 8 * 0.8) / 60)
