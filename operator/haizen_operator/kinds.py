"""The Kubernetes kinds the operator touches, and where each lives in the API."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Kind:
    """One kind of Kubernetes object: its group, version and plural name."""

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """The `apiVersion` of its manifests."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """The URL path of an object, or of the list when no name is given; no namespace means the whole cluster."""
        parts = ["apis", self.group, self.version] if self.group else ["api", self.version]
        if namespace and self.namespaced:
            parts += ["namespaces", namespace]
        parts.append(self.plural)
        parts += [part for part in (name, subresource) if part]
        return "/" + "/".join(parts)


INFERENCE_SERVICE = Kind("serving.kserve.io", "v1beta1", "InferenceService", "inferenceservices")
SERVING_RUNTIME = Kind("serving.kserve.io", "v1alpha1", "ServingRuntime", "servingruntimes")
CLUSTER_SERVING_RUNTIME = Kind(
    "serving.kserve.io", "v1alpha1", "ClusterServingRuntime", "clusterservingruntimes", namespaced=False
)
KNATIVE_SERVICE = Kind("serving.knative.dev", "v1", "Service", "services")
KNATIVE_REVISION = Kind("serving.knative.dev", "v1", "Revision", "revisions")
POD = Kind("", "v1", "Pod", "pods")
SECRET = Kind("", "v1", "Secret", "secrets")
SERVICE_ACCOUNT = Kind("", "v1", "ServiceAccount", "serviceaccounts")
CONFIG_MAP = Kind("", "v1", "ConfigMap", "configmaps")
EVENT = Kind("", "v1", "Event", "events")
LEASE = Kind("coordination.k8s.io", "v1", "Lease", "leases")

ALL_KINDS = (
    INFERENCE_SERVICE, SERVING_RUNTIME, CLUSTER_SERVING_RUNTIME, KNATIVE_SERVICE, KNATIVE_REVISION,
    POD, SECRET, SERVICE_ACCOUNT, CONFIG_MAP, EVENT, LEASE,
)  # fmt: skip

_BY_MANIFEST = {(kind.api_version, kind.kind): kind for kind in ALL_KINDS}


def kind_of(manifest: dict[str, Any]) -> Kind:
    """The kind of a manifest, by its apiVersion and kind.

    Raises:
        KeyError: the manifest is of no kind that the operator handles.
    """
    return _BY_MANIFEST[(manifest["apiVersion"], manifest["kind"])]
