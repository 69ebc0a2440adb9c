"""The control plane: etcd, kube-apiserver, controller manager and scheduler."""

from pathlib import Path

from e2e.cluster import settings
from e2e.cluster.processes import Process

_CLIENT_URL = "http://127.0.0.1:2379"
_PEER_URL = "http://127.0.0.1:2380"
_AUDIT_POLICY = """apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  verbs: [get, list, watch]
- level: None
  resources: [{group: coordination.k8s.io, resources: [leases]}, {group: "", resources: [events]}]
- level: Metadata
"""


def audit_log() -> Path:
    """One JSON line for every write to the API: who wrote what; Leases and Events aside."""
    return settings.logs_root() / "audit.jsonl"


def write_configuration() -> None:
    """Write the audit policy."""
    (settings.state_root() / "node").mkdir(parents=True, exist_ok=True)
    _audit_policy_file().write_text(_AUDIT_POLICY)


def _audit_policy_file() -> Path:
    return settings.state_root() / "node" / "audit.yaml"


def _pki(name: str) -> str:
    return str(settings.state_root() / "pki" / name)


def etcd(binaries: Path) -> Process:
    """The store; it does not wait for the disk, since nothing in it outlives the cluster."""
    return Process(
        "etcd",
        [
            binaries / "etcd",
            f"--data-dir={settings.state_root() / 'etcd'}",
            f"--listen-client-urls={_CLIENT_URL}",
            f"--advertise-client-urls={_CLIENT_URL}",
            f"--listen-peer-urls={_PEER_URL}",
            "--unsafe-no-fsync",
            "--log-level=warn",
        ],
    )


def kube_apiserver(binaries: Path) -> Process:
    """The API, with Node and RBAC authorization."""
    return Process(
        "kube-apiserver",
        [
            binaries / "kube-apiserver",
            f"--etcd-servers={_CLIENT_URL}",
            f"--advertise-address={settings.NODE_ADDRESS}",
            f"--secure-port={settings.API_PORT}",
            f"--service-cluster-ip-range={settings.SERVICE_RANGE}",
            f"--client-ca-file={_pki('ca.crt')}",
            f"--tls-cert-file={_pki('apiserver.crt')}",
            f"--tls-private-key-file={_pki('apiserver.key')}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={_pki('sa.pub')}",
            f"--service-account-signing-key-file={_pki('sa.key')}",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--allow-privileged=true",
            f"--kubelet-client-certificate={_pki('admin.crt')}",
            f"--kubelet-client-key={_pki('admin.key')}",
            "--kubelet-preferred-address-types=InternalIP",  # node names resolve nowhere, and `kubectl logs` needs it
            f"--requestheader-client-ca-file={_pki('ca.crt')}",
            "--requestheader-allowed-names=front-proxy-client",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-username-headers=X-Remote-User",
            f"--proxy-client-cert-file={_pki('front-proxy.crt')}",
            f"--proxy-client-key-file={_pki('front-proxy.key')}",
            f"--audit-policy-file={_audit_policy_file()}",
            f"--audit-log-path={audit_log()}",
            "--audit-log-maxsize=200",
            "--audit-log-maxbackup=2",
        ],
    )


def kube_controller_manager(binaries: Path) -> Process:
    """The controllers of Kubernetes itself."""
    kubeconfig = _pki("controller-manager.kubeconfig")
    return Process(
        "kube-controller-manager",
        [
            binaries / "kube-controller-manager",
            f"--kubeconfig={kubeconfig}",
            f"--authentication-kubeconfig={kubeconfig}",
            f"--authorization-kubeconfig={kubeconfig}",
            f"--service-account-private-key-file={_pki('sa.key')}",
            f"--root-ca-file={_pki('ca.crt')}",
            f"--cluster-signing-cert-file={_pki('ca.crt')}",
            f"--cluster-signing-key-file={_pki('ca.key')}",
            f"--requestheader-client-ca-file={_pki('ca.crt')}",
            "--use-service-account-credentials",
            "--leader-elect=false",
            "--allocate-node-cidrs=true",
            f"--cluster-cidr={settings.POD_RANGE}",
            "--kube-api-qps=200",
            "--kube-api-burst=400",
        ],
    )


def kube_scheduler(binaries: Path) -> Process:
    """The scheduler."""
    kubeconfig = _pki("scheduler.kubeconfig")
    return Process(
        "kube-scheduler",
        [
            binaries / "kube-scheduler",
            f"--kubeconfig={kubeconfig}",
            f"--authentication-kubeconfig={kubeconfig}",
            f"--authorization-kubeconfig={kubeconfig}",
            "--leader-elect=false",
        ],
    )
