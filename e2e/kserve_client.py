"""What a KServe user's script does; it runs where the PyPI package `kserve` is installed and nothing of haizen."""

import json
import sys
import time

from kserve import (
    KServeClient,
    V1beta1InferenceService,
    V1beta1InferenceServiceSpec,
    V1beta1ModelFormat,
    V1beta1ModelSpec,
    V1beta1PredictorSpec,
    constants,
)
from kubernetes.client import V1ObjectMeta, V1ResourceRequirements

NAME = "by-sdk"


def service(namespace: str, account: str, uri: str, percent: int | None = None) -> V1beta1InferenceService:
    """Return an InferenceService as the SDK's users build it."""
    resources = V1ResourceRequirements(requests={"cpu": "50m", "memory": "128Mi"}, limits={"cpu": "1", "memory": "1Gi"})
    model = V1beta1ModelSpec(model_format=V1beta1ModelFormat(name="sklearn"), storage_uri=uri, resources=resources)
    predictor = V1beta1PredictorSpec(service_account_name=account, model=model, canary_traffic_percent=percent)
    return V1beta1InferenceService(
        api_version=constants.KSERVE_V1BETA1,
        kind=constants.KSERVE_KIND_INFERENCESERVICE,
        metadata=V1ObjectMeta(name=NAME, namespace=namespace),
        spec=V1beta1InferenceServiceSpec(predictor=predictor),
    )


def main(namespace: str, account: str, first: str, second: str) -> None:
    """Create, wait, get, patch a canary, delete; print what was seen as one JSON line."""
    client, seen = KServeClient(), {}
    client.create(service(namespace, account, first), namespace=namespace)
    client.wait_isvc_ready(NAME, namespace=namespace, timeout_seconds=300)
    seen["create and wait_isvc_ready"] = client.is_isvc_ready(NAME, namespace=namespace)
    seen["get"] = client.get(NAME, namespace=namespace)["status"]["url"]
    client.patch(NAME, service(namespace, account, second, 20), namespace=namespace)
    deadline = time.monotonic() + 300
    while True:
        status = client.get(NAME, namespace=namespace)["status"]["components"]["predictor"]
        split = {entry.get("tag", "latest"): entry.get("percent") for entry in status["traffic"]}
        if split == {"prev": 80, "latest": 20} and client.is_isvc_ready(NAME, namespace=namespace):
            break
        if time.monotonic() > deadline:
            raise TimeoutError(f"the split is {split}")
        time.sleep(1)
    seen["patch a canary"] = split
    client.delete(NAME, namespace=namespace)
    seen["delete"] = True
    print(json.dumps(seen))


if __name__ == "__main__":
    main(*sys.argv[1:])
