"""Short ways to write the manifests of the rule table."""

from typing import Any

from haizen_operator.api.rules.rule import Manifest

SKLEARN: Manifest = {"modelFormat": {"name": "sklearn"}, "storageUri": "s3://models/digits"}
SERVER: Manifest = {"name": "kserve-container", "image": "example.com/server:1"}


def service(predictor: Manifest, name: str = "digits", **spec: Any) -> Manifest:
    """An InferenceService with this predictor; further fields of ``spec`` by name."""
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"predictor": predictor, **spec},
    }


def model_service(**predictor: Any) -> Manifest:
    """An InferenceService of a scikit-learn model; further fields of the predictor by name."""
    return service({"model": SKLEARN, **predictor})


def canary_service(*canaries: Manifest, **predictor: Any) -> Manifest:
    """An InferenceService with these canaries beside a scikit-learn model."""
    manifest = service({"name": "stable", "model": SKLEARN, **predictor}, canary=list(canaries))
    manifest["metadata"]["annotations"] = {"serving.kserve.io/deploymentMode": "Standard"}
    return manifest


def canary(name: str | None, percent: int, **predictor: Any) -> Manifest:
    """One canary of the same model."""
    named = {} if name is None else {"name": name}
    return {"predictor": {**named, "model": SKLEARN, **predictor}, "trafficPercent": percent}


def runtime(**spec: Any) -> Manifest:
    """A ServingRuntime; further fields of ``spec`` by name."""
    return {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "ServingRuntime",
        "metadata": {"name": "example", "namespace": "default"},
        "spec": {"containers": [SERVER], **spec},
    }
