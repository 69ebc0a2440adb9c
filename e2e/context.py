"""What every story is handed: the cluster, the gateway, a namespace, the model store, and a place for figures."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from e2e.kubectl import Kubectl, Manifest, condition, is_true, wait_for
from e2e.model_store import ModelStore
from e2e.prober import Prober, Target

DOMAIN = "example.com"
SMALL = {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"cpu": "1", "memory": "1Gi"}}


@dataclass(slots=True)
class Context:
    """One story's view of the cluster."""

    kubectl: Kubectl
    gateway: str
    namespace: str
    store: ModelStore
    workspace: Path
    figures: dict[str, Any] = field(default_factory=dict)

    def note(self, name: str, value: object) -> None:
        """Record a figure for the report."""
        self.figures[name] = value

    def inference_service(
        self,
        name: str,
        uri: str,
        model_format: str = "sklearn",
        annotations: dict[str, str] | None = None,
        **predictor: Any,
    ) -> Manifest:
        """Return an InferenceService with a model; further predictor fields as keyword arguments."""
        model = {
            "modelFormat": {"name": model_format},
            "storageUri": uri,
            "resources": SMALL,
            **predictor.pop("model", {}),
        }
        return {
            "apiVersion": "serving.kserve.io/v1beta1",
            "kind": "InferenceService",
            "metadata": {"name": name, "namespace": self.namespace, "annotations": annotations or {}},
            "spec": {
                "predictor": {
                    "serviceAccountName": self.store.SERVICE_ACCOUNT,
                    "maxReplicas": 2,  # more would only take the two cores away from the first
                    "model": model,
                    **predictor,
                }
            },
        }

    def host(self, name: str) -> str:
        """Return the Host header that reaches a service through the gateway."""
        return f"{name}-predictor.{self.namespace}.{DOMAIN}"

    def get(self, name: str) -> Manifest | None:
        """Return an InferenceService."""
        return self.kubectl.get("inferenceservice", name, self.namespace)

    def knative_service(self, name: str) -> Manifest | None:
        """Return the Knative Service of a predictor."""
        return self.kubectl.get("services.serving.knative.dev", f"{name}-predictor", self.namespace)

    def wait_ready(self, name: str, timeout_seconds: float = 240.0) -> Manifest:
        """Wait until an InferenceService is Ready for its current generation."""

        def ready() -> Manifest | None:
            found = self.get(name)
            return found if is_true(found) else None

        return wait_for(
            f"{name} is Ready", ready, timeout_seconds, explain=lambda: (self.get(name) or {}).get("status")
        )

    def edit(self, name: str, predictor: Manifest) -> None:
        """Edit the predictor; None takes a field away."""
        self.kubectl.patch("inferenceservice", name, self.namespace, {"spec": {"predictor": predictor}})

    def wait_split(self, name: str, split: list[tuple[int, bool]]) -> Manifest:
        """Wait until a service is Ready with a split of (percent, is the latest)."""

        def there() -> Manifest | None:
            ready = self.wait_ready(name)
            traffic = ready["status"]["components"]["predictor"]["traffic"]
            seen = sorted((entry.get("percent") or 0, bool(entry.get("latestRevision"))) for entry in traffic)
            return ready if seen == sorted(split) else None

        return wait_for(f"{name} settles at {split}", there, 240, explain=lambda: (self.get(name) or {}).get("status"))

    def wait_condition(self, name: str, text: str, kind: str = "Ready", timeout_seconds: float = 180.0) -> Manifest:
        """Wait until a condition is False and its reason or message contains `text`; returns the condition."""

        def told() -> Manifest | None:
            found = condition(self.get(name), kind)
            said = f"{found.get('reason', '')} {found.get('message', '')}"
            return found if found.get("status") == "False" and text.lower() in said.lower() else None

        return wait_for(
            f"{name}: {kind}=False that says {text!r}",
            told,
            timeout_seconds,
            explain=lambda: (self.get(name) or {}).get("status", {}).get("conditions"),
        )

    def post(self, name: str, path: str, document: object, timeout_seconds: float = 120.0) -> httpx.Response:
        """Send one request through the gateway, on a connection of its own."""
        return httpx.post(
            f"{self.gateway}{path}", json=document, headers={"Host": self.host(name)}, timeout=timeout_seconds
        )

    def prober(self, name: str, path: str, body: bytes, rate: float = 50.0) -> Prober:
        """Return a prober at a constant rate on one service."""
        return Prober(Target(f"{self.gateway}{path}", self.host(name), body), rate)

    def pods(self, name: str) -> list[Manifest]:
        """Return the pods of a service that have not ended."""
        found = self.kubectl.list("pods", self.namespace, f"serving.kserve.io/inferenceservice={name}")
        return [pod for pod in found if pod["status"].get("phase") not in ("Succeeded", "Failed")]

    def wait_no_pods(self, name: str, timeout_seconds: float = 300.0) -> None:
        """Wait until a service has scaled to zero."""
        wait_for(f"{name} has no pods", lambda: not self.pods(name), timeout_seconds)
