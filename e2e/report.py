"""What a run shows: a table for people, a JSON file for everything else."""

import json
import platform
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table


@dataclass(slots=True)
class Result:
    """The outcome of one story: passed, the figures it measured, or why it failed."""

    story: str
    title: str
    passed: bool = False
    seconds: float = 0.0
    figures: dict[str, Any] = field(default_factory=dict)
    problem: str = ""


def print_table(results: list[Result], console: Console) -> None:
    """Print one row a story."""
    table = Table(title="user stories", show_lines=True)
    for column in ("story", "result", "time", "what was seen"):
        table.add_column(column, overflow="fold")
    for result in results:
        verdict = "[green]passed[/]" if result.passed else "[red]FAILED[/]"
        seen = "\n".join(f"{name}: {value}" for name, value in result.figures.items())
        text = seen if result.passed else f"{result.problem}\n{seen}"
        table.add_row(result.title, verdict, f"{result.seconds:.0f} s", text.strip().replace("[", "\\["))
    console.print(table)


def write_json(results: list[Result], path: Path) -> None:
    """Write the run with a description of the machine."""
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {"system": platform.platform(), "python": platform.python_version()},
        "passed": sum(result.passed for result in results),
        "failed": sum(not result.passed for result in results),
        "stories": [asdict(result) for result in results],
    }
    path.write_text(json.dumps(document, indent=2, default=str) + "\n")
