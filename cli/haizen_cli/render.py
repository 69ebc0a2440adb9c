"""`haizen render`: what the operator would apply, and which runtime it chose and why."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import yaml
from rich.table import Table

from haizen_cli.decide import Decision, NoRuntime, decide
from haizen_cli.errors import CliError
from haizen_cli.workspace import Service, Workspace
from haizen_operator.selection import Considered


@dataclass(frozen=True)
class Rendered:
    """The outcome for one InferenceService: a decision, or why there is none."""

    service: Service
    decision: Decision | None
    error: CliError | None

    @property
    def considered(self) -> tuple[Considered, ...]:
        """The runtimes that were looked at."""
        if isinstance(self.error, NoRuntime):
            return self.error.selection.considered
        if self.decision is not None and self.decision.selection is not None:
            return self.decision.selection.considered
        return ()

    @property
    def outcome(self) -> str:
        """The choice in one line."""
        if self.error is not None:
            return str(self.error)
        assert self.decision is not None
        selection = self.decision.selection
        if selection is None:
            return "custom container: needs no runtime"
        return f"{selection.kind} {selection.name}, protocol {selection.protocol_version}"


def render(workspace: Workspace) -> list[Rendered]:
    """Decide for every InferenceService of a workspace."""
    rendered = []
    for service in workspace.services:
        try:
            rendered.append(Rendered(service, decide(service, workspace), None))
        except CliError as error:
            rendered.append(Rendered(service, None, error))
    return rendered


def to_yaml(objects: Iterable[dict[str, Any]]) -> str:
    """Write objects as YAML documents, in the order of their keys as made."""
    return yaml.dump_all(
        list(objects), Dumper=_Dumper, sort_keys=False, explicit_start=True, allow_unicode=True, width=120
    )


def considered_table(rendered: Rendered) -> Table:
    """Return the table of the runtimes that were looked at, the chosen one first."""
    isvc = rendered.service.isvc
    table = Table(title=f"{isvc.metadata.name}: {rendered.outcome}", title_justify="left", pad_edge=False)
    for heading in ("", "kind", "runtime", "why"):
        table.add_column(heading, overflow="fold")
    for entry in rendered.considered:
        table.add_row(
            "✓" if entry.accepted else "", entry.kind, entry.name, entry.why, style="" if entry.accepted else "dim"
        )
    return table


class _Dumper(yaml.SafeDumper):
    """Writes no anchors: kubectl and people read plain YAML."""

    def ignore_aliases(self, data: Any) -> bool:
        return True
