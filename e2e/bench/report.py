"""The figures as tables for people and as a document for programs."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from e2e.bench.bars import BARS, Verdict, judge, judge_footprints
from e2e.bench.figures import Figures, Footprint, Pair, medians
from e2e.bench.run import Seen

_HELD = {True: "held", False: "missed", None: "–"}
BUSY_CLIENT = 0.9
"""From this share of its core on, the client may be what is measured."""


def verdicts(seen: Seen, extra: Sequence[Verdict], cases: Sequence[str]) -> list[Verdict]:
    """Every bar of the cases that were asked for."""
    judged = [judge(bar, seen.pairs) for bar in BARS] + judge_footprints(seen.starts, seen.footprints)
    return [verdict for verdict in judged if verdict.case in cases] + list(extra)


def show(console: Console, seen: Seen, judged: Sequence[Verdict]) -> None:
    """Print what was seen."""
    if seen.pairs or seen.starts:
        console.print(_pairs(seen))
    if seen.footprints:
        console.print(_footprints(seen.footprints))
    if judged:
        console.print(_bars(judged))
    for name, reason in seen.failures.items():
        console.print(f"not measured: {name}: {reason}", markup=False)


def _pairs(seen: Seen) -> Table:
    table = Table(title="haizen : the other; medians, and the median of the ratios of each pair (smallest–largest)")
    for column in (
        "case",
        "beside",
        "req/s",
        "theirs",
        "p50 ms",
        "theirs",
        "p99 ms",
        "theirs",
        "req/s ratio",
        "errors",
    ):
        table.add_column(column, overflow="fold", justify="left" if column in ("case", "beside") else "right")
    for pair in (pair for pair in seen.pairs if pair.rounds):
        ours, theirs = medians([each.ours for each in pair.rounds]), medians([each.theirs for each in pair.rounds])
        low, high = pair.spread
        errors = "0" if not any(pair.errors) else f"{pair.errors[0]} ours, {pair.errors[1]} theirs"
        rates, ratio = f"{_rate(ours)} : {_rate(theirs)}", f"{pair.rate:.2f} ({low:.2f}–{high:.2f})"
        p50, p99 = f"{ours.p50_ms:.2f} : {theirs.p50_ms:.2f}", f"{ours.p99_ms:.2f} : {theirs.p99_ms:.2f}"
        table.add_row(pair.case, pair.other, rates, p50, p99, ratio, errors)
    for pair in seen.starts:
        ours, theirs = medians([each.ours for each in pair.rounds]), medians([each.theirs for each in pair.rounds])
        times = f"{ours.p50_ms:.0f} : {theirs.p50_ms:.0f}"
        table.add_row("start", pair.other, "", times, "", f"{pair.p50:.2f} × the time", "0")
    return table


def _rate(figures: Figures) -> str:
    mark = "*" if figures.client_share > BUSY_CLIENT else ""
    rate = figures.requests_per_second
    return f"{rate:,.0f}{mark}" if rate >= 100 else f"{rate:.1f}{mark}"


def _footprints(footprints: Sequence[Footprint]) -> Table:
    table = Table(title="iris: one start, and memory (PSS of all processes)")
    for column in ("server", "start to first right answer, s", "MiB", "MiB after the load", "processes"):
        table.add_column(column, justify="left" if column == "server" else "right")
    for each in footprints:
        after = f"{each.memory_after_load_mib:.0f}" if each.memory_after_load_mib else "–"
        figures = f"{each.start_seconds:.2f}", f"{each.memory_mib:.0f}", after
        table.add_row(each.name, *figures, str(each.processes))
    return table


def _bars(judged: Sequence[Verdict]) -> Table:
    table = Table(title="bars")
    for column in ("case", "bar", "seen", "held"):
        table.add_column(column, overflow="fold")
    for verdict in judged:
        table.add_row(verdict.case, verdict.bar, verdict.seen, _HELD[verdict.held])
    return table


def document(seen: Seen, judged: Sequence[Verdict]) -> dict[str, Any]:
    """All rounds, not only their medians."""
    return {
        "pairs": [_pair(pair) for pair in seen.pairs if pair.rounds],
        "starts": [_pair(pair) for pair in seen.starts if pair.rounds],
        "footprints": [asdict(each) for each in seen.footprints],
        "bars": [asdict(verdict) for verdict in judged],
        "not measured": seen.failures,
    }


def _pair(pair: Pair) -> dict[str, Any]:
    ratios = {"requests/s": pair.rate, "p50": pair.p50, "p99": pair.p99}
    return {**asdict(pair), "ratios": ratios, "errors": {"ours": pair.errors[0], "theirs": pair.errors[1]}}
