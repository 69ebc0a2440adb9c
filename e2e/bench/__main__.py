"""`python -m e2e.bench`: the benchmarks that need a cluster, as a table of ratios and a JSON file."""

import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from e2e import access
from e2e.__main__ import fresh_namespace
from e2e.bench import cold_start
from e2e.context import Context
from e2e.installation import Installation, rolls_with
from e2e.kubectl import Kubectl
from e2e.model_store import ModelStore
from e2e.stories.many_at_once import many_at_once


def main() -> int:
    """Print the figures; the exit code says nothing about them: a bar that is missed is shown as missed."""
    console = Console()
    cluster = access.connect()
    kubectl = Kubectl(cluster.kubeconfig)
    store = ModelStore(kubectl)
    Installation(kubectl).install("knativeFeatures.enable=true", *rolls_with(cluster.operator_digest))
    store.deploy()
    table = Table(title="benchmarks")
    for column in ("measure", "figure", "bar", "held"):
        table.add_column(column, overflow="fold")
    document: dict[str, object] = {}
    with tempfile.TemporaryDirectory(prefix="haizen-bench-") as workspace:
        context = Context(kubectl, cluster.gateway, "bench-cold-start", store, Path(workspace))
        fresh_namespace(context)
        cold = cold_start.measure(context)
        document["cold start"] = asdict(cold)
        seen = f"{cold.haizen:.2f} s, floor {cold.floor:.2f} s: +{cold.added:.2f} s (median of {len(cold.rounds)})"
        held = "yes" if cold.added <= cold.bar else "no"
        table.add_row(
            "cold start", seen, f"+{cold.bar:.2f} s (library import {cold.library_import:.2f} s + 0.5 s)", held
        )
        kubectl.delete("namespace", context.namespace)

        context = Context(kubectl, cluster.gateway, "bench-many", store, Path(workspace))
        fresh_namespace(context)
        many_at_once(context)
        document["many at once"] = context.figures
        ratio = float(context.figures["ratio of the p95s (bar: 2.0)"])
        seen = ", ".join(f"{name} {value}" for name, value in context.figures.items())
        table.add_row(
            "100 services in a burst", seen, "p95 at most 2.0 times the bare client's", "yes" if ratio <= 2 else "no"
        )
        kubectl.delete("namespace", context.namespace)
    console.print(table)
    results = Path("results/bench.json")
    results.parent.mkdir(exist_ok=True)
    results.write_text(json.dumps(document, indent=2, default=str) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
