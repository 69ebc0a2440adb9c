"""The metrics in Prometheus' text format: KServe's names, then ours. Made when scraped, from plain counters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
    SummaryMetricFamily,
)

from haizen_runtime.engine.model import State

if TYPE_CHECKING:
    from haizen_runtime.doors.http.app import HttpApp
    from haizen_runtime.engine.dataplane import DataPlane
    from haizen_runtime.engine.metrics import Histogram
    from haizen_runtime.processes.sums import Family

CONTENT_TYPE = CONTENT_TYPE_LATEST.encode()
_MODEL = ("model_name", "model_version")
_registries: dict[int, CollectorRegistry] = {}


class EngineCollector:
    """Reads the engine's counters at each scrape."""

    def __init__(self, plane: DataPlane) -> None:
        self._plane = plane

    def collect(self) -> Iterator[Metric]:
        """One family after the other."""
        models = list(self._plane.registry)
        yield _histogram(
            "request_preprocess_seconds", "Seconds from the body to tensors.",
            ((model.name, model.metrics.preprocess) for model in models),
        )  # fmt: skip
        yield _histogram(
            "request_predict_seconds", "Seconds in the queue and in the model.",
            ((model.name, model.metrics.predict) for model in models),
        )  # fmt: skip
        yield _histogram(
            "request_postprocess_seconds", "Seconds from tensors to the body.",
            ((model.name, model.metrics.postprocess) for model in models),
        )  # fmt: skip
        yield _histogram(
            "request_explain_seconds", "Seconds in the queue and in the model, of explanations.",
            ((model.name, model.metrics.explain) for model in models),
        )  # fmt: skip
        yield _histogram(
            "haizen_batch_rows", "Rows in a batch.", ((model.name, model.metrics.batch_rows) for model in models)
        )
        yield _seconds(
            "haizen_queue_seconds", "Seconds that requests waited for their batch to begin.",
            ((model.name, model.metrics.executed_requests, model.metrics.queue_seconds) for model in models),
        )  # fmt: skip
        yield _seconds(
            "haizen_batch_seconds", "Seconds that batches ran in the model.",
            ((model.name, count, seconds) for model in models
             for count, seconds in model.metrics.batch_seconds.values()),
        )  # fmt: skip
        requests = CounterMetricFamily(
            "haizen_requests", "Answers by door and status code.", labels=("model_name", "door", "code")
        )
        drops = CounterMetricFamily(
            "haizen_requests_dropped", "Requests rejected or dropped, by reason.", labels=("model_name", "reason")
        )
        batches = CounterMetricFamily(
            "haizen_batches", "Batches, by where they ran: event loop or thread.", labels=("model_name", "place")
        )
        in_flight = GaugeMetricFamily("haizen_requests_in_flight", "Requests being answered.", labels=_MODEL)
        queued = GaugeMetricFamily("haizen_requests_queued", "Requests waiting for a batch.", labels=_MODEL)
        held = GaugeMetricFamily(
            "haizen_requests_held", "Requests waiting for their model to be loaded.", labels=_MODEL
        )
        ready = GaugeMetricFamily("haizen_model_ready", "1 when loaded and warmed up.", labels=_MODEL)
        load = GaugeMetricFamily("haizen_model_load_seconds", "Seconds the last load took.", labels=_MODEL)
        warm = GaugeMetricFamily("haizen_model_warmup_seconds", "Seconds the last warm-up took.", labels=_MODEL)
        loop_rows = GaugeMetricFamily(
            "haizen_model_loop_rows", "The largest batch that runs on the event loop.", labels=_MODEL
        )
        memory = GaugeMetricFamily(
            "haizen_worker_resident_memory_bytes", "Resident memory of a worker process of Python model code.",
            labels=(*_MODEL, "worker"),
        )  # fmt: skip
        restarts = CounterMetricFamily(
            "haizen_worker_restarts", "Worker processes of Python model code that ended and were replaced.",
            labels=(*_MODEL, "worker"),
        )  # fmt: skip
        loads = CounterMetricFamily(
            "haizen_model_loads", "Loads and reloads, by what came of them.", labels=("model_name", "result")
        )
        _count(requests, ((model.name, door, str(status), count) for model in models
                          for (door, status), count in sorted(model.metrics.requests.items())))  # fmt: skip
        _count(drops, ((model.name, *drop) for model in models for drop in sorted(model.metrics.drops.items())))
        _count(batches, ((model.name, *place) for model in models for place in model.metrics.batches.items()))
        _count(loads, ((model.name, *result) for model in models for result in model.metrics.loads.items()))
        for model in models:
            metrics, labels = model.metrics, (model.name, model.version)
            in_flight.add_metric(labels, metrics.in_flight)
            queued.add_metric(labels, model.queued)
            held.add_metric(labels, self._plane.waiting.count(model))
            ready.add_metric(labels, float(model.state is State.READY))
            load.add_metric(labels, metrics.load_seconds)
            warm.add_metric(labels, metrics.warmup_seconds)
            loop_rows.add_metric(labels, model.loop_rows)
            for worker in model.workers:
                memory.add_metric((*labels, str(worker.index)), worker.rss_bytes)
                restarts.add_metric((*labels, str(worker.index)), worker.restarts)
        yield from (
            requests,
            drops,
            batches,
            loads,
            in_flight,
            queued,
            held,
            ready,
            load,
            warm,
            loop_rows,
            memory,
            restarts,
        )


def render(app: HttpApp) -> bytes:
    """All metrics as text."""
    return generate_latest(_registry(app))


def snapshot(app: HttpApp) -> list[Family]:
    """All metrics as plain lists, to be added to those of other processes."""
    return [
        [metric.name, metric.documentation, metric.type,
         [[sample.name, sample.labels, sample.value] for sample in metric.samples]]
        for metric in _registry(app).collect()
    ]  # fmt: skip


def render_families(families: list[Family]) -> bytes:
    """What several processes counted together, as text."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Fixed(families))
    return generate_latest(registry)


class _Fixed:
    """Metrics that are known already."""

    def __init__(self, families: list[Family]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        """One family after the other."""
        for name, text, kind, samples in self._families:
            metric = Metric(name, text, kind)
            for sample, labels, value in samples:
                metric.add_sample(sample, labels, value)
            yield metric


def _registry(app: HttpApp) -> CollectorRegistry:
    """The app's registry; the first call makes it."""
    registry = _registries.get(id(app))
    if registry is None:
        registry = _registries[id(app)] = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        registry.register(EngineCollector(app.plane))
    return registry


def _count(family: CounterMetricFamily, rows: Iterable[tuple[*tuple[str, ...], int]]) -> None:
    """Add a row for each set of labels; what versions of one model counted adds up."""
    totals: dict[tuple[str, ...], int] = {}
    for *labels, count in rows:
        key = tuple(map(str, labels))
        totals[key] = totals.get(key, 0) + int(count)
    for key, total in totals.items():
        family.add_metric(key, total)


def _seconds(name: str, text: str, rows: Iterable[tuple[str, float, float]]) -> SummaryMetricFamily:
    """How many there were and their seconds together; what versions of one model counted adds up."""
    family = SummaryMetricFamily(name, text, labels=("model_name",))
    totals: dict[str, tuple[int, float]] = {}
    for model, count, seconds in rows:
        before = totals.get(model, (0, 0.0))
        totals[model] = (before[0] + int(count), before[1] + seconds)
    for model, (count, seconds) in totals.items():
        family.add_metric((model,), count, seconds)
    return family


def _histogram(name: str, text: str, series: Iterable[tuple[str, Histogram]]) -> HistogramMetricFamily:
    family = HistogramMetricFamily(name, text, labels=("model_name",))
    merged: dict[str, Histogram] = {}
    for model, histogram in series:  # KServe's label is the name alone: versions of one model add up
        known = merged.get(model)
        merged[model] = histogram if known is None else known + histogram
    for model, histogram in merged.items():
        family.add_metric((model,), histogram.cumulative(), histogram.total)
    return family
