"""The node: containerd, kubelet and kube-proxy, their configuration and command lines."""

import json
import shutil
from pathlib import Path

from e2e.cluster import cgroups, settings
from e2e.cluster.processes import Process
from e2e.cluster.shell import CommandError, run

_CNI_BINARIES = "/usr/lib/cni"


def containerd_root() -> Path:
    """Where images and snapshots live; kept between clusters."""
    return settings.state_root() / "containerd"


def write_configuration() -> None:
    """Write every configuration file of the node."""
    folder = settings.state_root() / "node"
    (folder / "cni").mkdir(parents=True, exist_ok=True)
    (folder / "containerd.toml").write_text(_containerd())
    (folder / "cni" / "10-bridge.conflist").write_text(json.dumps(_cni()))
    (folder / "kubelet.json").write_text(json.dumps(_kubelet()))
    (folder / "proxy.json").write_text(json.dumps(_proxy()))


def forget_pods() -> None:
    """Remove what the kubelet and the CNI plugins remember of an earlier cluster's pods."""
    shutil.rmtree(settings.state_root() / "kubelet", ignore_errors=True)
    shutil.rmtree(settings.state_root() / "cni", ignore_errors=True)
    results = Path("/var/lib/cni/results")
    for file in results.glob(f"{settings.NAME}-*") if results.exists() else ():
        file.unlink(missing_ok=True)


def containerd() -> Process:
    """The container runtime."""
    return Process("containerd", ["containerd", "-c", settings.state_root() / "node" / "containerd.toml"])


def kubelet(binaries: Path) -> Process:
    """The node's agent."""
    state = settings.state_root()
    return Process(
        "kubelet",
        [
            binaries / "kubelet",
            f"--config={state / 'node' / 'kubelet.json'}",
            f"--kubeconfig={state / 'pki' / 'node.kubeconfig'}",
            f"--root-dir={state / 'kubelet'}",
            f"--hostname-override={settings.NODE_NAME}",
            f"--node-ip={settings.NODE_ADDRESS}",
        ],
    )


def kube_proxy(binaries: Path) -> Process:
    """What makes Services' addresses work."""
    return Process("kube-proxy", [binaries / "kube-proxy", f"--config={settings.state_root() / 'node' / 'proxy.json'}"])


def ctr(*arguments: str | Path) -> str:
    """Run containerd's client on the cluster's containerd."""
    return run(["ctr", "--address", settings.CONTAINERD_SOCKET, "--namespace", "k8s.io", *arguments])


def containerd_is_ready() -> bool:
    """Whether containerd answers, its image service included."""
    try:
        plugins = [line.split() for line in ctr("plugins", "ls").splitlines()]
    except CommandError:
        return False
    return any(words[1] == "cri" and words[-1] == "ok" for words in plugins if len(words) > 2)


def blobs() -> set[str]:
    """The digests of the image parts that containerd holds."""
    return set(ctr("content", "ls", "--quiet").split())


def remove_containers() -> bool:
    """Remove the containers an earlier cluster left in containerd's database; true when there were any."""
    left = ctr("containers", "ls", "-q").split()
    for container in left:
        try:
            ctr("containers", "rm", container)
        except CommandError as error:
            if "not found" not in str(error):
                raise
    return bool(left)


def _containerd() -> str:
    return f"""version = 2
root = "{containerd_root()}"
state = "{settings.RUN / "containerd"}"
oom_score = 0
[grpc]
  address = "{settings.CONTAINERD_SOCKET}"
[ttrpc]
  address = "{settings.CONTAINERD_SOCKET}.ttrpc"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{settings.PAUSE_IMAGE}"
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  disable_tcp_service = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{_CNI_BINARIES}"
    conf_dir = "{settings.state_root() / "node" / "cni"}"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
"""


def _cni() -> dict[str, object]:
    return {
        "cniVersion": "0.4.0",
        "name": settings.NAME,
        "plugins": [
            {
                "type": "bridge",
                "bridge": "cni0",
                "isGateway": True,
                "ipMasq": True,
                "hairpinMode": True,
                "ipam": {
                    "type": "host-local",
                    "dataDir": str(settings.state_root() / "cni"),
                    "ranges": [[{"subnet": settings.POD_RANGE_OF_NODE}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }


def _kubelet() -> dict[str, object]:
    pki = settings.state_root() / "pki"
    configuration: dict[str, object] = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": settings.NODE_ADDRESS,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(pki / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(pki / "node.crt"),
        "tlsPrivateKeyFile": str(pki / "node.key"),
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{settings.NAME}",
        "enforceNodeAllocatable": ["pods"],
        "failSwapOn": False,
        "clusterDNS": [settings.NODE_ADDRESS],
        "clusterDomain": "cluster.local",
        "containerRuntimeEndpoint": f"unix://{settings.CONTAINERD_SOCKET}",
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "imageGCHighThresholdPercent": 100,
        "resolvConf": "/dev/null",
        "serializeImagePulls": False,
        "syncFrequency": "10s",
        "podLogsDir": str(settings.logs_root() / "pods"),
        "registryPullQPS": 0,
        "eventRecordQPS": 50,
    }
    if not cgroups.is_unified():
        configuration["failCgroupV1"] = False
    return configuration


def _proxy() -> dict[str, object]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": str(settings.state_root() / "pki" / "proxy.kubeconfig")},
        "clusterCIDR": settings.POD_RANGE,
        "hostnameOverride": settings.NODE_NAME,
        "mode": "nftables",
        "nftables": {"minSyncPeriod": "50ms"},
        "conntrack": {"maxPerCore": 0},
    }
