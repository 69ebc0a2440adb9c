"""Knative Serving: its manifests come from the Go module cache, its images from the programs built here."""

import json
import re
from pathlib import Path

import yaml

from e2e.cluster import binaries, settings
from e2e.cluster.go_modules import source_folder
from e2e.cluster.kubectl import Manifest, apply, kubectl
from e2e.cluster.shell import CommandError

NAMESPACE = "knative-serving"
PROGRAMS = ("controller", "autoscaler", "activator", "webhook", "queue")
_KO = re.compile(r"ko://knative\.dev/serving/cmd/([a-z-]+)")

# What pods may use beyond stock Knative; the chart's value switches on the same ones.
FEATURES = tuple(
    f"kubernetes.podspec-{name}"
    for name in (
        "affinity",
        "dnsconfig",
        "dnspolicy",
        "hostaliases",
        "init-containers",
        "nodeselector",
        "persistent-volume-claim",
        "persistent-volume-write",
        "priorityclassname",
        "runtimeclassname",
        "schedulername",
        "securitycontext",
        "shareprocessnamespace",
        "tolerations",
        "topologyspreadconstraints",
    )
)

_CONFIGURATION: dict[str, dict[str, str]] = {
    "config-network": {"ingress-class": settings.INGRESS_CLASS},
    "config-domain": {settings.DOMAIN: ""},
    # A service with nothing to do is at zero half a minute after its last request, not after a minute and a half.
    "config-autoscaler": {
        "stable-window": "20s",
        "scale-to-zero-grace-period": "10s",
        "allow-zero-initial-scale": "true",
    },
}


def image(program: str) -> str:
    """The name of a Knative program's image; Knative does not resolve the tags of dev.local."""
    return f"dev.local/knative-{program}:{settings.KNATIVE}"


def resource_definitions() -> list[Manifest]:
    """Knative's CustomResourceDefinitions."""
    serving, networking, caching = config_folders()
    # serving's own folder has links in place of these, which a module's zip leaves out
    files = [networking / f"{name}.yaml" for name in ("ingress", "certificate", "domain-claim", "serverlessservice")]
    files += [caching / "image.yaml", *sorted((serving / "core" / "300-resources").glob("*.yaml"))]
    return _load(files)


def core() -> list[Manifest]:
    """Everything else, configured for this cluster, in the order it can be applied in."""
    serving, networking, _ = config_folders()
    root = serving / "core"
    files = [root / "100-namespace.yaml", root / "200-serviceaccount.yaml"]
    files += sorted((root / "200-roles").glob("*.yaml"))
    files += [*sorted((root / "configmaps").glob("*.yaml")), networking / "config-network.yaml"]
    # Autoscaling Knative itself needs metrics that this cluster has not.
    files += [file for file in sorted((root / "deployments").glob("*.yaml")) if not file.stem.endswith("-hpa")]
    files += [*sorted((root / "webhooks").glob("*.yaml")), root / "999-cache.yaml"]
    manifests = _load(files)
    for manifest in manifests:
        if manifest["kind"] == "ConfigMap":
            _configure(manifest)
        elif manifest["kind"] == "Deployment":
            _ask_for_little(manifest)
    return manifests


def install() -> None:
    """Apply Knative Serving; the programs start afterwards."""
    definitions = resource_definitions()
    apply(definitions)
    names = [f"crd/{definition['metadata']['name']}" for definition in definitions]
    kubectl("wait", "--for=condition=Established", "--timeout=60s", *names)
    apply(core())


def deployments_are_available() -> bool:
    """Whether every Deployment of Knative's namespace has its pods."""
    try:
        listed = json.loads(kubectl("get", "deployments", "-n", NAMESPACE, "-o", "json"))["items"]
    except CommandError:
        return False
    return bool(listed) and all(item.get("status", {}).get("availableReplicas") for item in listed)


def accepts_services() -> bool:
    """Whether Knative's webhooks answer: they take a moment longer than their pods."""
    probe = {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": {"name": "probe", "namespace": "default"},
        "spec": {"template": {"spec": {"containers": [{"image": "dev.local/probe:1"}]}}},
    }
    try:
        kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(probe).encode(), timeout_seconds=20)
    except CommandError:
        return False
    return True


def set_features(enabled: bool) -> None:
    """Allow or forbid what stock Knative forbids in pods: init containers, claims, node selectors and the like."""
    data = dict.fromkeys(FEATURES, "enabled" if enabled else "disabled")
    patch = json.dumps({"data": data})
    kubectl("patch", "configmap", "config-features", "-n", NAMESPACE, "--type=merge", "-p", patch)


def config_folders() -> tuple[Path, Path, Path]:
    """The manifests of serving, networking and caching; looked up once, since asking Go takes seconds."""
    serving, networking, caching = (
        source_folder(f"knative.dev/{name}", binaries.go) / "config" for name in ("serving", "networking", "caching")
    )
    return serving, networking, caching


def _load(files: list[Path]) -> list[Manifest]:
    text = "\n---\n".join(file.read_text() for file in files)
    text = _KO.sub(lambda found: image(found[1]), text)
    return [manifest for manifest in yaml.load_all(text, yaml.CSafeLoader) if manifest]


def _configure(config_map: Manifest) -> None:
    name = config_map["metadata"]["name"]
    config_map.setdefault("data", {}).update(_CONFIGURATION.get(name, {}))


def _ask_for_little(deployment: Manifest) -> None:
    """Leave the node's two cores to the services under test."""
    for container in deployment["spec"]["template"]["spec"]["containers"]:
        container.setdefault("resources", {})["requests"] = {"cpu": "100m", "memory": "60Mi"}
