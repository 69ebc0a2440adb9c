"""The benchmarks that need a cluster: cold start, and a hundred services in a burst."""

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from e2e import access
from e2e.__main__ import fresh_namespace
from e2e.bench import cold_start
from e2e.bench.bars import Verdict
from e2e.context import Context
from e2e.installation import Installation, rolls_with
from e2e.kubectl import Kubectl
from e2e.model_store import ModelStore
from e2e.stories.many_at_once import many_at_once


def measure() -> tuple[list[Verdict], dict[str, Any]]:
    """Bring the cluster up where there is none, and measure both; returns the bars and the figures."""
    cluster = access.connect()
    kubectl = Kubectl(cluster.kubeconfig)
    store = ModelStore(kubectl)
    Installation(kubectl).install("knativeFeatures.enable=true", *rolls_with(cluster.operator_digest))
    store.deploy()
    with tempfile.TemporaryDirectory(prefix="haizen-bench-") as workspace:
        context = Context(kubectl, cluster.gateway, "bench-cold-start", store, Path(workspace))
        fresh_namespace(context)
        cold = cold_start.measure(context)
        kubectl.delete("namespace", context.namespace)
        seen = f"{cold.haizen:.2f} s, floor {cold.floor:.2f} s: +{cold.added:.2f} s (median of {len(cold.rounds)})"
        bar = f"+{cold.bar:.2f} s (library import {cold.library_import:.2f} s + 0.5 s)"
        start = Verdict("cold start", bar, seen, cold.added <= cold.bar)

        context = Context(kubectl, cluster.gateway, "bench-many", store, Path(workspace))
        fresh_namespace(context)
        many_at_once(context)
        kubectl.delete("namespace", context.namespace)
        ratio = float(context.figures["ratio of the p95s (bar: 2.0)"])
        seen = ", ".join(f"{name} {value}" for name, value in context.figures.items())
        many = Verdict("100 services in a burst", "p95 at most 2.0 times the bare client's", seen, ratio <= 2)
    return [start, many], {"cold start": asdict(cold), "many at once": context.figures}
