"""The operator's Prometheus metrics."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from haizen_operator.kinds import Kind

WRITE_VERBS = frozenset({"apply", "create", "update", "patch", "delete"})


class Metrics:
    """One set of metrics on a registry of its own, so that two operators in one process do not mix."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.reconciles = Counter(
            "haizen_operator_reconciles_total",
            "Reconciles by outcome.",
            ["outcome"],
            registry=self.registry,
        )
        self.reconcile_seconds = Histogram(
            "haizen_operator_reconcile_seconds",
            "Duration of a reconcile in seconds.",
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
            registry=self.registry,
        )
        self.requests = Counter(
            "haizen_operator_api_requests_total",
            "Requests to the Kubernetes API by verb, kind and HTTP status (0: no answer).",
            ["verb", "kind", "status"],
            registry=self.registry,
        )
        self.writes = Counter(
            "haizen_operator_api_writes_total",
            "Writing requests to the Kubernetes API by verb and kind, the Lease included.",
            ["verb", "kind"],
            registry=self.registry,
        )
        self.leader = Gauge(
            "haizen_operator_leader", "1 while this process is the leader, else 0.", registry=self.registry
        )
        self._queue_depth = Gauge(
            "haizen_operator_queue_depth", "InferenceServices waiting to be reconciled.", registry=self.registry
        )
        self._watch_age = Gauge(
            "haizen_operator_watch_age_seconds",
            "Seconds since a watch last showed a sign of life.",
            ["kind"],
            registry=self.registry,
        )
        self._watch_refused = Gauge(
            "haizen_operator_watch_refused",
            "1 while the API server refuses to let the operator watch a kind, else 0.",
            ["kind"],
            registry=self.registry,
        )

    def on_request(self, verb: str, kind: Kind, status: int, seconds: float) -> None:
        """Count one request to the Kubernetes API."""
        self.requests.labels(verb, kind.kind, str(status)).inc()
        if verb in WRITE_VERBS:
            self.writes.labels(verb, kind.kind).inc()

    def watch_queue(self, depth: Callable[[], int]) -> None:
        """Read the queue's depth whenever the metrics are read."""
        self._queue_depth.set_function(depth)

    def watch_age(self, kind: str, age: Callable[[], float]) -> None:
        """Read a watch's age whenever the metrics are read."""
        self._watch_age.labels(kind).set_function(age)

    def watch_refused(self, kind: str, refused: Callable[[], bool]) -> None:
        """Read whether a watch is refused whenever the metrics are read."""
        self._watch_refused.labels(kind).set_function(lambda: float(refused()))
