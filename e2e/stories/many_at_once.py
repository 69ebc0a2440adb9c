"""A hundred InferenceServices in one burst, beside a bare client that applies the same Knative Services."""

import asyncio
import copy
import json
import ssl
import statistics
import time
from pathlib import Path

import aiohttp
import yaml

from e2e import digits
from e2e.context import Context
from e2e.faults.counting_proxy import client_context
from e2e.kubectl import Manifest, wait_for
from e2e.stories import story

COUNT = 100
KSVC = "/apis/serving.knative.dev/v1/namespaces/{namespace}/services"
ISVC = "/apis/serving.kserve.io/v1beta1/namespaces/{namespace}/inferenceservices"


@story("many", f"many at once: {COUNT} in a burst, beside a bare client", order=115)
def many_at_once(context: Context) -> None:
    """create → Knative Service applied: at most twice the bare client's p95 in the same run."""
    context.store.upload({"variants/1/model.joblib": digits.train_variant(context.workspace, 1)})
    idle = {"autoscaling.knative.dev/initial-scale": "0"}
    services = [
        context.inference_service(f"many-{number}", context.store.uri("variants/1"), annotations=idle, minReplicas=0)
        for number in range(COUNT)
    ]
    server = Server(context.kubectl.kubeconfig, context.workspace)
    isvcs, ksvcs = ISVC.format(namespace=context.namespace), KSVC.format(namespace=context.namespace)

    ours = asyncio.run(burst(server, isvcs, services, watched=ksvcs, suffix="-predictor"))
    templates = [bare_copy(each) for each in context.kubectl.list("ksvc", context.namespace)]
    assert len(templates) == COUNT, f"{len(templates)} Knative Services of {COUNT} are there to be copied"
    clear(context)
    bare = asyncio.run(burst(server, ksvcs, templates, watched=ksvcs, suffix=""))
    context.kubectl.run("delete", "ksvc", "--all", "-n", context.namespace, "--wait=false")

    figures = {
        "haizen p50": p(ours, 0.5),
        "haizen p95": p(ours, 0.95),
        "bare p50": p(bare, 0.5),
        "bare p95": p(bare, 0.95),
    }
    for name, value in figures.items():
        context.note(name, f"{value:.2f} s")
    context.note("ratio of the p95s (bar: 2.0)", f"{p(ours, 0.95) / p(bare, 0.95):.2f}")
    assert len(ours) == len(bare) == COUNT, f"applied: {len(ours)} by haizen, {len(bare)} by the bare client"


class Server:
    """Where the API server is and how to reach it."""

    def __init__(self, kubeconfig: Path, workspace: Path) -> None:
        document = yaml.safe_load(kubeconfig.read_text())
        self.url = document["clusters"][0]["cluster"]["server"].rstrip("/")
        self.tls: ssl.SSLContext = client_context(document, workspace)


async def burst(server: Server, path: str, manifests: list[Manifest], watched: str, suffix: str) -> dict[str, float]:
    """Create all at once; return, by name, the seconds from sending the create to a watch's event of its child."""
    sent: dict[str, float] = {}
    seen: dict[str, float] = {}
    async with aiohttp.ClientSession(server.url, connector=aiohttp.TCPConnector(ssl=server.tls, limit=0)) as session:
        async with session.get(watched) as listed:
            version = (await listed.json())["metadata"]["resourceVersion"]

        async def watch() -> None:
            nonlocal version
            while len(seen) < len(manifests):  # the API server ends a watch whose client does not keep up
                params = {"watch": "true", "resourceVersion": version}
                async with session.get(watched, params=params, timeout=aiohttp.ClientTimeout(total=None)) as events:
                    async for line in events.content:
                        event = json.loads(line)
                        assert event["type"] != "ERROR", event["object"]
                        metadata = event["object"]["metadata"]
                        version = metadata["resourceVersion"]
                        seen.setdefault(metadata["name"], time.monotonic())
                        if len(seen) >= len(manifests):
                            return

        async def create(manifest: Manifest) -> None:
            name = manifest["metadata"]["name"]
            sent[name] = time.monotonic()
            async with session.post(path, json=manifest) as answer:
                assert answer.status == 201, await answer.text()

        watching = asyncio.create_task(watch())
        await asyncio.gather(*(create(manifest) for manifest in manifests))
        await asyncio.wait_for(watching, timeout=300)
    return {name: seen[f"{name}{suffix}"] - sent[name] for name in sent if f"{name}{suffix}" in seen}


def bare_copy(service: Manifest) -> Manifest:
    """Return a Knative Service as a client would write it: the same spec, nothing the server adds."""
    metadata = service["metadata"]
    keep = {
        "name": metadata["name"],
        "namespace": metadata["namespace"],
        "labels": metadata.get("labels", {}),
        "annotations": {
            k: v for k, v in metadata.get("annotations", {}).items() if not k.startswith("serving.knative.dev/")
        },
    }
    return {
        "apiVersion": service["apiVersion"],
        "kind": service["kind"],
        "metadata": keep,
        "spec": copy.deepcopy(service["spec"]),
    }


def clear(context: Context) -> None:
    """Delete all services of the namespace and wait until their Knative Services are gone."""
    context.kubectl.run("delete", "inferenceservices", "--all", "-n", context.namespace, "--wait=false")
    wait_for("all Knative Services are gone", lambda: not context.kubectl.list("ksvc", context.namespace), 300, 2)


def p(latencies: dict[str, float], quantile: float) -> float:
    """Return a quantile (seconds)."""
    return statistics.quantiles(latencies.values(), n=100, method="inclusive")[round(quantile * 100) - 1]
