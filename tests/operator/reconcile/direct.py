"""The operator's own reconcile, called step by step against a real API server: no watches, no waiting."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from haizen_operator.backoff import Backoff
from haizen_operator.kinds import Kind
from haizen_operator.kube.client import KubeClient
from haizen_operator.kube.connection import ClusterConfiguration, load_configuration
from haizen_operator.metrics import WRITE_VERBS, Metrics
from haizen_operator.observe import Observer, Places
from haizen_operator.reconcile import Reconciler
from tests.support.control_plane import ControlPlane


class Direct:
    """One reconciler, and how often it wrote each kind."""

    def __init__(self, client: KubeClient, writes: Counter[str]):
        self.client = client
        self.writes = writes
        self.observer = Observer(
            client, Places("inferenceservice-config", "haizen-system", "knative-serving"), "example.com/runtime:1"
        )
        backoff = Backoff(base_seconds=0.1, max_seconds=1.0, jitter=0.0)
        self._reconcile = Reconciler(client, self.observer, Metrics(), backoff, resync_seconds=60.0)

    async def reconcile(self, namespace: str, name: str) -> Counter[str]:
        """One reconcile; returns what it wrote, by kind."""
        before = Counter(self.writes)
        await self._reconcile((namespace, name))
        return self.writes - before

    async def settle(self, namespace: str, name: str) -> None:
        """Reconcile until nothing is written any more."""
        for _ in range(5):
            if not await self.reconcile(namespace, name):
                return
        raise AssertionError(f"{namespace}/{name} does not settle: {dict(self.writes)}")


@asynccontextmanager
async def direct(control_plane: ControlPlane) -> AsyncIterator[Direct]:
    """A reconciler with a client of its own."""
    writes: Counter[str] = Counter()

    async def configure() -> ClusterConfiguration:
        return await load_configuration(str(control_plane.kubeconfig))

    def count(verb: str, kind: Kind, status: int, seconds: float) -> None:
        if verb in WRITE_VERBS:
            writes[kind.kind] += 1

    client = KubeClient(configure, on_request=count)
    try:
        yield Direct(client, writes)
    finally:
        await client.close()
