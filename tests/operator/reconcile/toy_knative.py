"""Just enough of Knative for the operator's tests: it makes Revisions and moves the status of Knative Services.

The rules are Knative's: one Revision for each change of the template, named `<service>-0000N` and labelled with its
generation; `latestReadyRevisionName` only moves forward, to a Revision that is Ready; `latestRevision: true` in the
traffic block means that one. The real Knative runs in the end-to-end stories.
"""

import contextlib
import copy
import threading
from typing import Any

import httpx

from haizen_operator.kinds import KNATIVE_REVISION, KNATIVE_SERVICE
from tests.operator.reconcile.cluster_world import World
from tests.support.control_plane import ControlPlane

Manifest = dict[str, Any]


class ToyKnative:
    """Runs in a thread of its own until it is stopped."""

    def __init__(self, control_plane: ControlPlane):
        self._world = World(control_plane)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.failing = "broken"
        """Revisions whose container image holds this text never become Ready."""

    def __enter__(self) -> "ToyKnative":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._world.close()

    def _run(self) -> None:
        while not self._stop.wait(0.1):
            # The test deletes and edits at the same time: whatever does not work out is tried again.
            with contextlib.suppress(httpx.HTTPError, AssertionError):
                for service in self._world.find(KNATIVE_SERVICE):
                    if "deletionTimestamp" not in service["metadata"]:
                        self._reconcile(service)

    def _reconcile(self, service: Manifest) -> None:
        name, namespace = service["metadata"]["name"], service["metadata"]["namespace"]
        uid = service["metadata"]["uid"]
        mine = [
            revision
            for revision in self._world.find(KNATIVE_REVISION, namespace)
            if any(owner["uid"] == uid for owner in revision["metadata"]["ownerReferences"])
        ]
        mine.sort(key=_generation)
        template = service["spec"]["template"]
        if not mine or mine[-1]["spec"] != template["spec"] or _annotations(mine[-1]) != _annotations(template):
            mine.append(self._make_revision(service, _generation(mine[-1]) + 1 if mine else 1))
        ready = [revision for revision in mine if self._is_ready(revision)]
        status = _status(service, mine[-1], ready[-1] if ready else None)
        if status != service.get("status"):
            self._world.merge(KNATIVE_SERVICE, name, namespace, {"status": status}, "status", manager="knative")

    def _is_ready(self, revision: Manifest) -> bool:
        images = [container.get("image", "") for container in revision["spec"]["containers"]]
        return not any(self.failing in image for image in images)

    def _make_revision(self, service: Manifest, generation: int) -> Manifest:
        metadata, template = service["metadata"], copy.deepcopy(service["spec"]["template"])
        name = f"{metadata['name']}-{generation:05d}"
        owner = {"apiVersion": "serving.knative.dev/v1", "kind": "Service", "name": metadata["name"]}
        revision = {
            "apiVersion": KNATIVE_REVISION.api_version,
            "kind": KNATIVE_REVISION.kind,
            "metadata": {
                "name": name,
                "namespace": metadata["namespace"],
                "annotations": _annotations(template),
                "labels": {
                    **(template["metadata"].get("labels") or {}),
                    "serving.knative.dev/service": metadata["name"],
                    "serving.knative.dev/configurationGeneration": str(generation),
                },
                "ownerReferences": [{**owner, "uid": metadata["uid"], "controller": True}],
            },
            "spec": template["spec"],
        }
        old = self._world.get(KNATIVE_REVISION, name, metadata["namespace"])
        if old is not None:  # of a Service of that name that was deleted; there is no garbage collector here
            self._world.delete(KNATIVE_REVISION, name, metadata["namespace"])
        made = self._world.create(KNATIVE_REVISION, revision, manager="knative")
        ready = "True" if self._is_ready(made) else "False"
        condition = {"type": "Ready", "status": ready}
        if ready == "False":
            condition |= {"reason": "ContainerMissing", "message": "the image cannot be pulled"}
        return self._world.merge(
            KNATIVE_REVISION, name, metadata["namespace"], {"status": {"conditions": [condition]}}, "status"
        )


def _generation(revision: Manifest) -> int:
    return int(revision["metadata"]["labels"]["serving.knative.dev/configurationGeneration"])


def _annotations(manifest: Manifest) -> Manifest:
    found: Manifest = manifest["metadata"].get("annotations") or {}
    return found


def _status(service: Manifest, created: Manifest, ready: Manifest | None) -> Manifest:
    metadata = service["metadata"]
    settled = ready is not None and ready["metadata"]["name"] == created["metadata"]["name"]
    configuration = {"type": "ConfigurationsReady", "status": "True" if settled else "False"}
    if not settled:
        configuration |= {"reason": "RevisionFailed", "message": f"Revision {created['metadata']['name']} failed"}
    routes = {"type": "RoutesReady", "status": "True" if ready else "Unknown"}
    url = f"http://{metadata['name']}.{metadata['namespace']}.example.com"
    status = {
        "observedGeneration": metadata["generation"],
        "latestCreatedRevisionName": created["metadata"]["name"],
        "conditions": [configuration, {**configuration, "type": "Ready"}, routes],
    }
    if ready is not None:
        name = ready["metadata"]["name"]
        targets = service["spec"].get("traffic") or [{"latestRevision": True, "percent": 100}]
        status |= {
            "latestReadyRevisionName": name,
            "url": url,
            "address": {"url": f"http://{metadata['name']}.{metadata['namespace']}.svc.cluster.local"},
            "traffic": [{**target, "revisionName": target.get("revisionName") or name} for target in targets],
        }
    return status
