"""What the display says, on a terminal and in a pipe."""

import io

import pytest
from rich.console import Console

from haizen_cli.run.display import Display
from haizen_cli.run.events import Event, OutputEvent, RevisionEvent, ServiceEvent, Stage, TrafficEvent
from haizen_cli.run.routing import ServiceKey, Share

KEY = ServiceKey("default", "iris")
REVISION = "iris-predictor-00001"


def shown(*events: Event, terminal: bool = False, verbose: bool = False) -> str:
    text = io.StringIO()
    display = Display(Console(file=text, force_terminal=terminal, width=120), verbose=verbose)
    for event in events:
        display.show(event)
    display.close()
    return text.getvalue()


@pytest.mark.parametrize(
    ("event", "wanted"),
    [
        (RevisionEvent(KEY, REVISION, Stage.LOADING), f"{REVISION}: loading"),
        (RevisionEvent(KEY, REVISION, Stage.FAILED, "Why: [not markup]"), f"{REVISION}: failed: Why: [not markup]"),
        (RevisionEvent(KEY, REVISION, Stage.RESTARTING, "Killed"), f"{REVISION}: went down: Killed"),
        (TrafficEvent(KEY, (Share("a", 10), Share("b", 90), Share("c", 0)), "why"), "traffic a 10 %, b 90 % (why)"),
        (ServiceEvent("removed", KEY), "default/iris: removed"),
        (ServiceEvent("f.yaml:3: bad", is_problem=True), "f.yaml:3: bad"),
        (OutputEvent(KEY, REVISION, "2026-01-31 12:00:00,000 WARNING look"), "look"),
        (OutputEvent(KEY, REVISION, '{"level": "error", "message": "oh"}'), "oh"),
        (OutputEvent(KEY, REVISION, "a bare line"), "a bare line"),
    ],
)
def test_lines(event: Event, wanted: str) -> None:
    assert wanted in shown(event)


@pytest.mark.parametrize("line", ["2026-01-31 12:00:00,000 INFO fine", '{"level": "info", "message": "fine"}'])
def test_what_is_only_shown_when_asked_for(line: str) -> None:
    event = OutputEvent(KEY, REVISION, line)
    assert "fine" not in shown(event)
    assert "fine" in shown(event, verbose=True)


def test_bars_on_a_terminal() -> None:
    """A download counts bytes, a load does not, and both are gone in the end."""
    output = shown(
        RevisionEvent(KEY, REVISION, Stage.DOWNLOADING),
        RevisionEvent(KEY, REVISION, Stage.DOWNLOADING, done=5_000_000, total=10_000_000),
        RevisionEvent(KEY, "other", Stage.LOADING),
        RevisionEvent(KEY, REVISION, Stage.LOADING),
        RevisionEvent(KEY, "other", Stage.FAILED, "no"),
        RevisionEvent(KEY, REVISION, Stage.READY),
        terminal=True,
    )
    assert "downloading" in output
    assert "loading" in output
    assert "ready" in output
