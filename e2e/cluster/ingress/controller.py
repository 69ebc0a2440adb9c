"""The controller: watches, has the pure parts translate, writes Envoy's files in order, then sets the statuses."""

import asyncio
import time
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from e2e.cluster import settings
from e2e.cluster.ingress import envoy, translate
from e2e.cluster.ingress.status import make_status
from e2e.cluster.ingress.translate import Backend, Held, Programmed, World
from e2e.cluster.ingress.watch import Key, Watch, api_client

_GROUP = "/apis/networking.internal.knative.dev/v1alpha1"
_CLASS = "networking.knative.dev/ingress.class"
_RETIRED_AFTER_SECONDS = 120  # requests on a cluster that no route names any more have ended by then
_DOMAIN = f"{settings.INGRESS_SERVICE}.{settings.INGRESS_NAMESPACE}.svc.cluster.local"


class Controller:
    """Holds what was programmed last, so that an Ingress whose backends are missing keeps its old routes."""

    def __init__(self, client: httpx.AsyncClient, admin: envoy.Admin) -> None:
        self._client = client
        self._admin = admin
        self._changed = asyncio.Event()
        self._ingresses = Watch(client, f"{_GROUP}/ingresses", self._changed.set)
        self._services = Watch(client, "/api/v1/services", self._changed.set)
        self._slices = Watch(client, "/apis/discovery.k8s.io/v1/endpointslices", self._changed.set)
        self._programmed: dict[Key, Programmed] = {}
        self._last_used: dict[Backend, float] = {}
        self._written: dict[Path, str] = {}  # the version that Envoy has of each file

    async def run(self) -> None:
        """Work until cancelled; each change, however many came at once, is one round."""
        async with asyncio.TaskGroup() as tasks:
            watches = (self._ingresses, self._services, self._slices)
            for watch in watches:
                tasks.create_task(watch.run())
            for watch in watches:
                await watch.synced.wait()
            while True:
                try:
                    await self._round()
                except (httpx.HTTPError, TimeoutError) as error:
                    print(f"round failed and is repeated: {error!r}", flush=True)
                    self._changed.set()
                    await asyncio.sleep(0.5)
                await self._wait_for_change()

    async def _wait_for_change(self) -> None:
        try:
            await asyncio.wait_for(self._changed.wait(), timeout=15)  # retired clusters go without a change
        except TimeoutError:
            return
        await asyncio.sleep(0.005)
        self._changed.clear()

    async def _round(self) -> None:
        world = self._world()
        held: dict[Key, Held] = {}
        programmed: dict[Key, Programmed] = {}
        for ingress in world.ingresses:
            key = ingress["metadata"]["namespace"], ingress["metadata"]["name"]
            result = self._program(ingress, key, world)
            if isinstance(result, Held):
                held[key] = result
                if key in self._programmed:
                    programmed[key] = self._programmed[key]
            else:
                programmed[key] = result
        await asyncio.to_thread(self._configure, programmed, world)
        self._programmed = programmed
        updates = [self._report(ingress, programmed, held) for ingress in world.ingresses]
        await asyncio.gather(*updates)

    def _program(self, ingress: translate.Object, key: Key, world: World) -> Programmed | Held:
        """An Ingress that is served at its generation stays served, whatever becomes of its backends."""
        before = self._programmed.get(key)
        if before is not None and before.generation == ingress["metadata"]["generation"]:
            return before
        return translate.program(ingress, world)

    def _world(self) -> World:
        slices: dict[Key, list[dict[str, Any]]] = defaultdict(list)
        for (namespace, _), item in self._slices.objects.items():
            service = (item["metadata"].get("labels") or {}).get("kubernetes.io/service-name")
            if service:
                slices[namespace, service].append(item)
        ours = [
            ingress
            for ingress in self._ingresses.objects.values()
            if (ingress["metadata"].get("annotations") or {}).get(_CLASS) == settings.INGRESS_CLASS
            and "deletionTimestamp" not in ingress["metadata"]
        ]
        ours.sort(key=lambda ingress: (ingress["metadata"]["creationTimestamp"], ingress["metadata"]["uid"]))
        return World(ours, dict(self._services.objects), slices)

    def _configure(self, programmed: dict[Key, Programmed], world: World) -> None:
        """Endpoints, then clusters, then routes: no route ever names a cluster that Envoy does not know."""
        now = time.monotonic()
        for one in programmed.values():
            self._last_used.update(dict.fromkeys(one.backends, now))
        expired = [used for used, when in self._last_used.items() if now - when > _RETIRED_AFTER_SECONDS]
        for backend in expired:
            del self._last_used[backend]
        clusters = []
        for backend in sorted(self._last_used):
            file = envoy.endpoints_file(backend.cluster)
            self._write(file, [translate.assignment(backend, world)])
            clusters.append(translate.cluster(backend, world, str(file)))
        self._write(envoy.clusters_file(), clusters, "cluster_manager.cds")
        for listener in (envoy.EXTERNAL, envoy.LOCAL):
            hosts = (
                host
                for one in programmed.values()
                for host in (one.external if listener == envoy.EXTERNAL else one.local)
            )
            routes = translate.route_configuration(listener, hosts)
            self._write(envoy.routes_file(listener), [routes], f"http.{listener}.rds.{listener}")
        for backend in expired:
            envoy.endpoints_file(backend.cluster).unlink(missing_ok=True)
            self._written.pop(envoy.endpoints_file(backend.cluster), None)

    def _write(self, file: Path, resources: list[translate.Json], statistic: str | None = None) -> None:
        """Write a file when it differs from what Envoy has, and wait until Envoy has it."""
        version = envoy.version_of(resources)
        if self._written.get(file) == version:
            return
        envoy.write_resources(file, resources)
        if statistic is not None:
            self._admin.wait_for(statistic, version)
        self._written[file] = version

    async def _report(
        self, ingress: translate.Object, programmed: dict[Key, Programmed], held: dict[Key, Held]
    ) -> None:
        namespace, name = key = ingress["metadata"]["namespace"], ingress["metadata"]["name"]
        outcome = held[key] if key in held else programmed[key].generation
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        status = make_status(ingress, outcome, _DOMAIN, now)
        if status == ingress.get("status"):
            return
        response = await self._client.patch(
            f"{_GROUP}/namespaces/{namespace}/ingresses/{name}/status",
            headers={"content-type": "application/merge-patch+json"},
            json={"metadata": {"resourceVersion": ingress["metadata"]["resourceVersion"]}, "status": status},
        )
        if response.status_code not in (404, 409):  # gone, or changed since: the watch brings the newer one
            response.raise_for_status()


async def serve() -> None:
    """Run the controller against the cluster made here."""
    async with api_client() as client:
        await Controller(client, envoy.Admin()).run()
