"""What the user sees while services run: progress bars, one line for each thing that happens, a table of URLs."""

import json
import re
import time
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TransferSpeedColumn,
)
from rich.table import Table
from rich.text import Text

from haizen_cli.run.events import Event, OutputEvent, RevisionEvent, ServiceEvent, Stage, TrafficEvent

_QUIET_LEVELS = frozenset(("debug", "info", "trace"))
_PLAIN_LOG_LINE = re.compile(r"\d{4}-\d\d-\d\d[T ][\d:,.Z+-]+ (DEBUG|INFO|WARNING|ERROR|CRITICAL) (.*)")
_BUSY = frozenset((Stage.DOWNLOADING, Stage.LOADING))


class _Transferred(DownloadColumn):
    """The bytes of a download; nothing for a load, which counts none."""

    def render(self, task: Task) -> Text:
        return super().render(task) if task.fields["in_bytes"] else Text()


class _Speed(TransferSpeedColumn):
    """The speed of a download."""

    def render(self, task: Task) -> Text:
        return super().render(task) if task.fields["in_bytes"] else Text()


class Display:
    """Shows events. On a terminal, downloads and loads are bars; elsewhere each stage is one line."""

    def __init__(self, console: Console, *, verbose: bool = False) -> None:
        self._console = console
        self._verbose = verbose
        self._progress: Progress | None = None
        self._tasks: dict[tuple[str, Stage], TaskID] = {}
        self._started: dict[str, float] = {}
        self._stages: dict[str, Stage] = {}

    def show(self, event: Event) -> None:
        """Show one event."""
        if isinstance(event, RevisionEvent):
            self._revision(event)
        elif isinstance(event, TrafficEvent):
            split = ", ".join(f"{share.revision} {share.percent} %" for share in event.shares if share.percent)
            self.line(
                f"[cyan]{event.service}[/]: traffic {split}" + (f" ({escape(event.message)})" if event.message else "")
            )
        elif isinstance(event, OutputEvent):
            self._output(event)
        elif isinstance(event, ServiceEvent):
            subject = f"[cyan]{event.service}[/]: " if event.service else ""
            style = "red" if event.is_problem else "default"
            self.line(f"{subject}[{style}]{escape(event.message)}[/]")

    def line(self, markup: str) -> None:
        """Print one line, above the bars when there are any."""
        self._console.print(f"[dim]{time.strftime('%H:%M:%S')}[/] {markup}", soft_wrap=True, highlight=False)

    def close(self) -> None:
        """Take the bars away."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None
            self._tasks.clear()

    def _revision(self, event: RevisionEvent) -> None:
        known = self._stages.get(event.revision)
        self._stages[event.revision] = event.stage
        if event.stage in _BUSY:
            self._started.setdefault(event.revision, time.monotonic())
            self._bar(event)
            if known is not event.stage and not self._console.is_terminal:
                self.line(f"[cyan]{event.revision}[/]: {event.stage}")
            return
        self._finish_bars(event.revision)
        text = f"[cyan]{event.revision}[/]: "
        if event.stage is Stage.READY:
            took = time.monotonic() - self._started.pop(event.revision, time.monotonic())
            text += f"[green]ready[/] after {took:.1f} s"
        elif event.stage in {Stage.FAILED, Stage.RESTARTING}:
            self._started.pop(event.revision, None)
            word = "failed" if event.stage is Stage.FAILED else "went down"
            text += f"[red]{word}[/]: {escape(event.message)}"
        else:
            text += str(event.stage)
        self.line(text)

    def _bar(self, event: RevisionEvent) -> None:
        if not self._console.is_terminal:
            return
        key = (event.revision, event.stage)
        if key not in self._tasks:
            self._finish_bars(event.revision)
        if self._progress is None:
            self._progress = Progress(
                SpinnerColumn(),
                TextColumn("{task.description}"),
                BarColumn(),
                _Transferred(),
                _Speed(),
                TimeElapsedColumn(),
                console=self._console,
                transient=True,
            )
            self._progress.start()
        if key not in self._tasks:
            self._tasks[key] = self._progress.add_task(
                f"{event.revision} {event.stage}", total=event.total, in_bytes=event.stage is Stage.DOWNLOADING
            )
        if event.stage is Stage.DOWNLOADING:
            self._progress.update(self._tasks[key], completed=event.done, total=event.total)

    def _finish_bars(self, revision: str) -> None:
        for key in [key for key in self._tasks if key[0] == revision]:
            task = self._tasks.pop(key)
            if self._progress is not None:
                self._progress.remove_task(task)
        if not self._tasks and self._progress is not None:
            self._progress.stop()
            self._progress = None

    def _output(self, event: OutputEvent) -> None:
        entry = _log_entry(event.line)
        if not self._verbose and str(entry.get("level", "warning")).lower() in _QUIET_LEVELS:
            return
        message = str(entry.get("message") or entry.get("msg") or event.line)
        level = str(entry.get("level") or "").lower()
        style = {"warning": "yellow", "error": "red", "critical": "red"}.get(level, "dim")
        self.line(f"[dim]{event.revision}[/] [{style}]{escape(message)}[/]")


def _log_entry(line: str) -> dict[str, Any]:
    """Return the level and message of a log line, plain (``2026-01-31 12:00:00,000 INFO text``) or JSON."""
    if plain := _PLAIN_LOG_LINE.match(line):
        return {"level": plain[1].lower(), "message": plain[2]}
    try:
        entry = json.loads(line)
    except ValueError:
        return {}
    return entry if isinstance(entry, dict) else {}


def url_table(rows: list[tuple[str, str, str]]) -> Table:
    """Return the table of what can be called; each row is service, what the URL is for, URL."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("service", "by", "URL"):
        table.add_column(heading, no_wrap=True, overflow="fold")
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    return table
