"""Talks to a real API server about the kinds of serving.kserve.io, over plain HTTP."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

CRDS = Path(__file__).parents[2] / "crds"
ESTABLISH_SECONDS = 60

_PLURALS = {
    "InferenceService": ("v1beta1", "namespaces/default/inferenceservices"),
    "ServingRuntime": ("v1alpha1", "namespaces/default/servingruntimes"),
    "ClusterServingRuntime": ("v1alpha1", "clusterservingruntimes"),
}


@dataclass(frozen=True)
class Refusal:
    """One cause of a refused request: the field, and what the API server says about it."""

    field: str
    message: str


class ServingApi:
    """Creates, updates and reads our kinds; nothing is stored unless a method says so."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client

    def install_crds(self) -> None:
        """Store the generated CRDs and wait until their kinds are served."""
        for file in sorted(CRDS.glob("serving.kserve.io_*.yaml")):
            definition = yaml.safe_load(file.read_text())
            path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
            response = self.client.post(path, json=definition)
            if response.status_code not in (201, 409):
                raise RuntimeError(f"{file.name} was refused: {response.json()['message']}")
        for kind in _PLURALS:
            self._wait_until_served(kind)

    def _wait_until_served(self, kind: str) -> None:
        deadline = time.monotonic() + ESTABLISH_SECONDS
        while self.client.get(self.path(kind)).status_code != 200:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{kind} is not served after {ESTABLISH_SECONDS} s")
            time.sleep(0.2)

    @staticmethod
    def path(kind: str, name: str | None = None) -> str:
        """The URL path of a kind, or of one object of it."""
        version, plural = _PLURALS[kind]
        return f"/apis/serving.kserve.io/{version}/{plural}" + (f"/{name}" if name else "")

    def try_create(self, manifest: dict[str, Any], *, strict: bool = False) -> httpx.Response:
        """What the API server says to a manifest, as a dry run."""
        validation = "Strict" if strict else "Ignore"
        parameters = {"dryRun": "All", "fieldValidation": validation}
        return self.client.post(self.path(manifest["kind"]), params=parameters, json=manifest)

    def try_update(self, stored: dict[str, Any], manifest: dict[str, Any]) -> httpx.Response:
        """What the API server says to a change of a stored object, as a dry run."""
        metadata = {**manifest["metadata"], "resourceVersion": stored["metadata"]["resourceVersion"]}
        path = self.path(manifest["kind"], metadata["name"])
        return self.client.put(path, params={"dryRun": "All"}, json={**manifest, "metadata": metadata})

    def store(self, manifest: dict[str, Any]) -> dict[str, Any]:
        """Store an object and return it as the API server sees it."""
        response = self.client.post(self.path(manifest["kind"]), params={"fieldValidation": "Strict"}, json=manifest)
        response.raise_for_status()
        stored: dict[str, Any] = response.json()
        return stored

    def delete(self, manifest: dict[str, Any]) -> None:
        """Remove a stored object."""
        self.client.delete(self.path(manifest["kind"], manifest["metadata"]["name"])).raise_for_status()


def refusals(response: httpx.Response) -> list[Refusal]:
    """The causes of a refused request; none for an accepted one."""
    if response.is_success:
        return []
    status = response.json()
    causes = status.get("details", {}).get("causes") or [{"field": "", "message": status["message"]}]
    return [Refusal(cause.get("field", ""), cause["message"]) for cause in causes]
