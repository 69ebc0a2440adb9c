"""When the probes fail, and what they say."""

import httpx
import pytest

from haizen_operator.health import Health, Watches, serve
from haizen_operator.metrics import Metrics


class Clock:
    """A monotonic clock that stands still until it is set."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def health(clock: Clock, watches: Watches, busy_seconds: float = 0.0) -> Health:
    return Health(watches, lambda: busy_seconds, lambda: True, watch_dead_seconds=300, stuck_seconds=60)


def test_watch_that_was_never_started_is_no_problem(clock: Clock) -> None:
    assert health(clock, Watches(clock)).problems() == []


def test_silent_watch_is_named(clock: Clock) -> None:
    watches = Watches(clock)
    watches.alive("inferenceservices")
    watches.alive("services")
    clock.now += 200
    watches.alive("services")
    assert health(clock, watches).problems() == []
    clock.now += 101
    assert health(clock, watches).problems() == ["the watch of inferenceservices has been silent for 301 s"]
    watches.alive("inferenceservices")
    assert health(clock, watches).problems() == []


def test_reconcile_that_hangs_is_named(clock: Clock) -> None:
    assert health(clock, Watches(clock), busy_seconds=61).problems() == ["a reconcile has been running for 61 s"]


def test_refused_watch_is_named_and_logged_once_a_minute(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    watches = Watches(clock)
    for _ in range(9):
        watches.alive("services")
        watches.answered("services", 403)
        clock.now += 10
    assert [it.levelname for it in caplog.records] == ["ERROR", "ERROR"]
    assert watches.is_refused("services")
    (refusal,) = watches.refusals()
    assert refusal.startswith("the watch of services has been refused for 90 s: the API server answers 403")
    assert health(clock, watches).problems() == [], "a restart does not help"


@pytest.mark.parametrize(
    ("answers", "refused"),
    [
        pytest.param([403], True, id="no right"),
        pytest.param([404], True, id="no such kind"),
        pytest.param([403, 200], False, id="granted later"),
        pytest.param([403, 503], True, id="a failure between says nothing"),
        pytest.param([401], False, id="a login that ran out"),
        pytest.param([410], False, id="a resource version that is too old"),
        pytest.param([429, 500], False, id="an API server under load"),
    ],
)
def test_what_counts_as_a_refusal(clock: Clock, answers: list[int], refused: bool) -> None:
    watches = Watches(clock)
    for status in answers:
        watches.answered("services", status)
    assert watches.is_refused("services") is refused


async def test_endpoint_answers_probes_and_metrics(clock: Clock) -> None:
    watches = Watches(clock)
    runner, port = await serve(health(clock, watches), Metrics(), host="127.0.0.1", port=0)
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as http:
            assert (await http.get("/healthz")).status_code == 200
            assert (await http.get("/readyz")).text == "ok"
            assert "haizen_operator_leader 0.0" in (await http.get("/metrics")).text
            watches.answered("services", 403)
            assert (await http.get("/readyz")).status_code == 503
            assert "services" in (await http.get("/readyz")).text
            assert (await http.get("/healthz")).status_code == 200
            watches.alive("services")
            clock.now += 1000
            answer = await http.get("/healthz")
            assert (answer.status_code, answer.text) == (503, "the watch of services has been silent for 1000 s")
    finally:
        await runner.cleanup()
