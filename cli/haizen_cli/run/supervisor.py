"""Keeps the services of a set of YAML files running behind one gateway, and follows the files as they are edited."""

import asyncio
import os
from collections.abc import Callable, Sequence
from typing import Any

from haizen_cli.decide import decide, pinned_by
from haizen_cli.documents import Document
from haizen_cli.errors import CliError
from haizen_cli.run.events import Event, ServiceEvent
from haizen_cli.run.gateway import Gateway
from haizen_cli.run.local_files import make_missing_samples, with_absolute_uris
from haizen_cli.run.localize import LocalContainer, localize
from haizen_cli.run.revision import Places
from haizen_cli.run.routing import ServiceKey
from haizen_cli.run.service import LocalService
from haizen_cli.workspace import Service, Workspace, gather
from haizen_operator import names
from haizen_operator.selection import Selection


class Supervisor:
    """The services of a run."""

    def __init__(self, gateway: Gateway, places: Places, report: Callable[[Event], None]) -> None:
        self.services: dict[ServiceKey, LocalService] = {}
        self.selections: dict[ServiceKey, Selection | None] = {}
        self.sources: dict[ServiceKey, Service] = {}
        self._gateway = gateway
        self._places = places
        self._report = report

    async def apply(self, documents: Sequence[Document]) -> list[str]:
        """Run what these documents say, and end what they no longer do.

        Returns what is wrong, in words. Invalid documents change nothing at all; a service that cannot run on this
        machine keeps running as it was.
        """
        workspace = gather([with_absolute_uris(document) for document in documents])
        if workspace.findings:
            return [str(finding) for finding in workspace.findings]
        problems: list[str] = []
        wanted: set[ServiceKey] = set()
        for service in workspace.services:
            key = ServiceKey(service.namespace, service.isvc.metadata.name)
            if service.isvc.metadata.annotations.get(names.ANNOTATION_STOP) == "true":
                self._report(ServiceEvent(f"stopped by its annotation {names.ANNOTATION_STOP}", key))
                continue
            wanted.add(key)
            try:
                await asyncio.to_thread(make_missing_samples, service.document, self._note(key))
                self._run(key, service, workspace)
            except CliError as error:
                problems.append(str(error) if error.where else f"{service.document.where()}: {key}: {error}")
        await asyncio.gather(*(self._remove(key) for key in set(self.services) - wanted))
        return problems

    async def settled(self) -> None:
        """Wait until each service is ready or has failed for the first time."""
        while waiting := [service for service in self.services.values() if not (service.ready or service.failed)]:
            await waiting[0].changed()

    async def close(self) -> None:
        """Drain and end everything."""
        await asyncio.gather(*(service.close() for service in self.services.values()))

    def kill(self) -> None:
        """End every process at once."""
        for service in self.services.values():
            service.kill()

    def _run(self, key: ServiceKey, service: Service, workspace: Workspace) -> None:
        decision = decide(service, workspace, pinned_by(self.selections.get(key)), local=True)
        secrets = workspace.objects("Secret", key.namespace)
        config_maps = workspace.objects("ConfigMap", key.namespace)

        def to_local(template: dict[str, Any]) -> LocalContainer:
            return localize(template, secrets=secrets, config_maps=config_maps, user=os.environ)

        to_local(decision.knative_service["spec"]["template"])
        if key not in self.services:
            self.services[key] = LocalService(key, self._gateway.backend(key), self._places, self._report)
            for note in (*decision.notes, *_local_notes(service)):
                self._report(ServiceEvent(note, key))
        self.selections[key] = decision.selection
        self.sources[key] = service
        self.services[key].update(decision.knative_service, decision.canary_percent, to_local)

    async def _remove(self, key: ServiceKey) -> None:
        self._gateway.remove(key)
        service = self.services.pop(key)
        self.selections.pop(key, None)
        self.sources.pop(key, None)
        await service.close()
        self._report(ServiceEvent("removed", key))

    def _note(self, key: ServiceKey) -> Callable[[str], None]:
        """Return a function that reports a line from another thread."""
        loop = asyncio.get_running_loop()

        def note(text: str) -> None:
            loop.call_soon_threadsafe(self._report, ServiceEvent(text, key))

        return note


def _local_notes(service: Service) -> list[str]:
    """Say what a cluster would do and this machine does not."""
    predictor = service.isvc.spec.predictor
    if predictor.min_replicas == 0:
        return ["minReplicas is 0: a cluster scales to zero when idle, `haizen run` keeps one process"]
    return []
