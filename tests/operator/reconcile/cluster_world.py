"""A cluster for the operator's tests: a real API server, our CRDs, minimal ones for Knative, and helpers."""

import copy
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import httpx

from haizen_operator.api.crd import KINDS, crd
from haizen_operator.kinds import CLUSTER_SERVING_RUNTIME, INFERENCE_SERVICE, KNATIVE_SERVICE, LEASE, Kind
from haizen_operator.runtimes import load_builtin_runtimes
from tests.support.control_plane import ControlPlane

Manifest = dict[str, Any]
T = TypeVar("T")
WAIT_SECONDS = 120.0
NAMESPACES = Kind("", "v1", "Namespace", "namespaces", namespaced=False)
CRDS = Kind("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions", namespaced=False)
SYSTEM_NAMESPACES = ("haizen-system", "knative-serving")


OPEN = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
POD_SCHEMA = {
    **OPEN,
    "properties": {
        "nodeSelector": {**OPEN, "x-kubernetes-map-type": "atomic"},
        **{
            name: {
                "type": "array",
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["name"],
                "items": {**OPEN, "required": ["name"], "properties": {"name": {"type": "string"}}},
            }
            for name in ("volumes", "imagePullSecrets")
        },
    },
}
TEMPLATE_SCHEMA = {**OPEN, "properties": {"spec": POD_SCHEMA}}


def knative_crd(plural: str, kind: str) -> Manifest:
    """A CRD of Knative with as much of its schema as an apply depends on: which lists and maps are merged, which not.

    Status is a subresource. `containers` and `traffic` are atomic, as in Knative's own.
    """
    spec = {**OPEN, "properties": {"template": TEMPLATE_SCHEMA}} if kind == "Service" else OPEN
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.serving.knative.dev"},
        "spec": {
            "group": "serving.knative.dev",
            "scope": "Namespaced",
            "names": {"plural": plural, "singular": kind.lower(), "kind": kind, "listKind": f"{kind}List"},
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "schema": {"openAPIV3Schema": {**OPEN, "properties": {"spec": spec}}},
                }
            ],
        },
    }


class World:
    """What a test does to the cluster and asks of it, as an administrator."""

    def __init__(self, control_plane: ControlPlane):
        self.control_plane = control_plane
        self.http = control_plane.client()

    def close(self) -> None:
        self.http.close()

    def get(self, kind: Kind, name: str, namespace: str | None = None) -> Manifest | None:
        answer = self.http.get(kind.path(namespace, name))
        return None if answer.status_code == 404 else _json(answer)

    def find(self, kind: Kind, namespace: str | None = None) -> list[Manifest]:
        items: list[Manifest] = _json(self.http.get(kind.path(namespace)))["items"]
        return items

    def create(self, kind: Kind, manifest: Manifest, *, manager: str = "tester") -> Manifest:
        namespace = manifest["metadata"].get("namespace")
        return _json(self.http.post(kind.path(namespace), json=manifest, params={"fieldManager": manager}))

    def merge(
        self,
        kind: Kind,
        name: str,
        namespace: str | None,
        patch: Manifest,
        subresource: str = "",
        manager: str = "tester",
    ) -> Manifest:
        """A JSON merge patch: what `kubectl edit` and most controllers amount to."""
        return _json(
            self.http.patch(
                kind.path(namespace, name, subresource or None),
                json=patch,
                params={"fieldManager": manager},
                headers={"Content-Type": "application/merge-patch+json"},
            )
        )

    def delete(self, kind: Kind, name: str, namespace: str | None = None) -> None:
        self.http.delete(kind.path(namespace, name)).raise_for_status()

    def delete_lease(self, name: str) -> None:
        """What the Lease of an operator that was killed comes to in the end, without the wait."""
        self.delete(LEASE, name, "haizen-system")

    def namespace(self, name: str) -> str:
        answer = self.http.post(NAMESPACES.path(), json={"metadata": {"name": name}})
        if answer.status_code != 409:
            answer.raise_for_status()
        return name

    def install(self, definition: Manifest) -> None:
        """Install a CRD and wait until it is served."""
        name = definition["metadata"]["name"]
        answer = self.http.post(CRDS.path(), json=definition)
        if answer.status_code != 409:
            answer.raise_for_status()

        def served() -> bool:
            found = self.get(CRDS, name) or {}
            conditions = (found.get("status") or {}).get("conditions") or []
            return any(it["type"] == "Established" and it["status"] == "True" for it in conditions)

        wait_for(served, f"{name} is served")
        group, version = definition["spec"]["group"], definition["spec"]["versions"][0]["name"]
        plural = definition["spec"]["names"]["plural"]
        wait_for(lambda: self.http.get(f"/apis/{group}/{version}/{plural}").status_code == 200, f"{plural} answers")

    def install_ours(self) -> None:
        for kind in KINDS:
            self.install(crd(kind))

    def install_runtimes(self) -> None:
        """The built-in runtimes, as an operator installed them earlier."""
        for runtime in load_builtin_runtimes("example.com/runtime:1"):
            if self.get(CLUSTER_SERVING_RUNTIME, runtime["metadata"]["name"]) is None:
                self.create(CLUSTER_SERVING_RUNTIME, runtime)

    def install_knative(self) -> None:
        self.install(knative_crd("services", "Service"))
        self.install(knative_crd("revisions", "Revision"))

    def isvc(self, name: str, namespace: str) -> Manifest:
        found = self.get(INFERENCE_SERVICE, name, namespace)
        assert found is not None, f"InferenceService {namespace}/{name} is gone"
        return found

    def service(self, name: str, namespace: str) -> Manifest | None:
        return self.get(KNATIVE_SERVICE, f"{name}-predictor", namespace)

    def wait_service(self, name: str, namespace: str) -> Manifest:
        found = wait_for(lambda: self.service(name, namespace), f"the Knative Service of {name}")
        assert isinstance(found, dict)
        return found

    def condition(self, name: str, namespace: str, kind: str = "Ready") -> Manifest:
        conditions = (self.isvc(name, namespace).get("status") or {}).get("conditions") or []
        return next((it for it in conditions if it["type"] == kind), {})

    def wait_ready(self, name: str, namespace: str) -> Manifest:
        wait_for(lambda: self.condition(name, namespace).get("status") == "True", lambda: self._why(name, namespace))
        return self.isvc(name, namespace)

    def wait_reason(self, name: str, namespace: str, reason: str) -> Manifest:
        wait_for(lambda: self.condition(name, namespace).get("reason") == reason, lambda: self._why(name, namespace))
        return self.condition(name, namespace)

    def events(self, namespace: str) -> list[tuple[str, str]]:
        """Type and reason of every Event of a namespace."""
        return [(it["type"], it["reason"]) for it in self.find(Kind("", "v1", "Event", "events"), namespace)]

    def _why(self, name: str, namespace: str) -> str:
        return f"{name}: {self.isvc(name, namespace).get('status')}"


def inference_service(name: str, namespace: str, **predictor: Any) -> Manifest:
    """A small InferenceService of a scikit-learn model."""
    model = {"modelFormat": {"name": "sklearn"}, "storageUri": "https://example.com/model.joblib"}
    return {
        "apiVersion": INFERENCE_SERVICE.api_version,
        "kind": INFERENCE_SERVICE.kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"predictor": {"model": copy.deepcopy(model), **predictor}},
    }


def wait_for(condition: Callable[[], T], what: str | Callable[[], str], seconds: float = WAIT_SECONDS) -> T:
    """Poll until the condition holds and return what it gave; fail with `what` after a generous time."""
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what() if callable(what) else what}")
        time.sleep(0.1)


def _json(answer: httpx.Response) -> Manifest:
    assert answer.status_code < 400, f"{answer.request.method} {answer.request.url}: {answer.text}"
    found: Manifest = answer.json()
    return found


def world_of(control_plane: ControlPlane) -> Iterator[World]:
    """A world with every CRD installed."""
    world = World(control_plane)
    for name in SYSTEM_NAMESPACES:
        world.namespace(name)
    world.install_ours()
    world.install_knative()
    yield world
    world.close()
