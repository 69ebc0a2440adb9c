"""Brings the cluster up and takes it down."""

import fcntl
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from e2e.cluster import (
    binaries,
    buildah,
    certificates,
    cgroups,
    control_plane,
    dns,
    images,
    knative,
    mounts,
    network,
    node,
    processes,
    settings,
)
from e2e.cluster.ingress import deployment as ingress
from e2e.cluster.kubectl import answers, apply, kubectl
from e2e.cluster.packages import ensure_packages
from e2e.cluster.progress import Progress
from e2e.cluster.shell import CommandError

PROGRAMS = (
    *("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "etcd"),
    *knative.PROGRAMS,
    *("dns", "pause", "helm"),
)
_READY_MARK = "ready"
_STOP_ORDER = (
    *("kubelet", "ingress", "envoy", "dns", "kube-proxy", "kube-scheduler", "kube-controller-manager"),
    *("kube-apiserver", "etcd"),
)


@dataclass(frozen=True)
class Cluster:
    """A cluster that runs: how to log in, the gateway's base URL as this machine reaches it, and Helm."""

    kubeconfig: Path
    gateway: str
    helm: Path


def build(progress: Progress) -> Path:
    """Install packages and build every program that is missing; returns the folder of programs."""
    ensure_packages(progress)
    folder = binaries.ensure(PROGRAMS, progress)
    knative.config_folders()
    ingress.ensure_envoy(progress)
    return folder


def is_up() -> bool:
    """Whether a cluster made here came up completely and still runs."""
    running = processes.running()
    return (
        (settings.state_root() / _READY_MARK).exists()
        and network.exists()
        and bool(running)
        and all(running.values())
        and answers("/readyz")
    )


def up(progress: Progress | None = None) -> Cluster:
    """Bring the cluster up from whatever state the machine is in, with haizen's images of the working tree.

    A cluster that runs is left alone, new images aside. Raises RuntimeError or CommandError with the reason.
    """
    progress = progress or Progress()
    folder = build(progress)
    cluster = Cluster(
        settings.kubeconfig(), f"http://{settings.NODE_ADDRESS}:{settings.EXTERNAL_PORT}", folder / "helm"
    )
    with lock():
        if is_up():
            progress.say("the cluster is up already")
        else:
            _bring_up(folder, progress)
        images.ensure_haizen_images(progress)
    return cluster


def _bring_up(folder: Path, progress: Progress) -> None:
    archive = images.system_archive(folder, progress)
    with progress.step("clear what an earlier cluster left"):
        _clear()
    with progress.step("network, certificates, configuration"):
        shutil.rmtree(settings.logs_root(), ignore_errors=True)
        network.create()
        cgroups.create()
        certificates.make_certificates(settings.state_root() / "pki")
        for write in (node.write_configuration, control_plane.write_configuration, dns.write_configuration):
            write()
    with progress.step("etcd and kube-apiserver, containerd beside them"):
        processes.start(control_plane.etcd(folder))
        processes.start(control_plane.kube_apiserver(folder))
        containers = _Background(lambda: _start_containerd(archive))
        processes.wait_until(lambda: answers("/readyz"), "answer of kube-apiserver", "kube-apiserver")
        processes.start(control_plane.kube_controller_manager(folder))
        processes.start(control_plane.kube_scheduler(folder))
        containers.join()
        processes.start(node.kubelet(folder))
        processes.start(node.kube_proxy(folder))
        processes.start(dns.dns(folder))
    with progress.step("Knative's manifests"):
        apply(ingress.manifests())
        knative.install()
        ingress.start()
    with progress.step("node, DNS, ingress and Knative ready"):
        processes.wait_until(_node_is_ready, "ready node", "kubelet")
        processes.wait_until(lambda: _gets(dns.READY_URL), "ready DNS", "dns")
        processes.wait_until(knative.deployments_are_available, "ready Knative", patience_seconds=300)
        processes.wait_until(knative.accepts_services, "answer of Knative's webhooks")
        processes.wait_until(ingress.is_ready, "ready ingress", "ingress")
    (settings.state_root() / _READY_MARK).touch()


def down() -> None:
    """Stop everything of the cluster, pods included, and undo its mounts, network and cgroups."""
    with lock():
        _clear()


def build_images(progress: Progress) -> None:
    """Build haizen's images from the working tree and give them to the cluster where it is up."""
    with lock():
        images.ensure_haizen_images(progress, into_cluster=is_up())


def build_kinds(names: Sequence[str], progress: Progress) -> None:
    """Build further kinds of the runtime's image."""
    with lock():
        images.build_kinds(names, progress)


def _clear() -> None:
    (settings.state_root() / _READY_MARK).unlink(missing_ok=True)
    for name in _STOP_ORDER:
        processes.stop(name, patience_seconds=2 if name == "kube-apiserver" else 5)
    processes.stop("containerd")
    cgroups.kill_members()
    for folder in (settings.RUN, settings.state_root() / "kubelet", node.containerd_root()):
        mounts.unmount_below(folder)
    shutil.rmtree(settings.RUN, ignore_errors=True)
    buildah.release()
    network.delete()
    cgroups.remove()
    node.forget_pods()
    for name in ("etcd", "pki", "pid"):
        shutil.rmtree(settings.state_root() / name, ignore_errors=True)


def _start_containerd(archive: images.Archive) -> None:
    """Start containerd and give it the images; a database that a stopped machine spoiled is dropped."""
    try:
        _run_containerd()
    except (RuntimeError, CommandError):
        processes.stop("containerd")
        shutil.rmtree(node.containerd_root(), ignore_errors=True)
        _run_containerd()
    images.load(archive)


def _run_containerd() -> None:
    node.containerd_root().mkdir(parents=True, exist_ok=True)
    processes.start(node.containerd())
    processes.wait_until(node.containerd_is_ready, "answer of containerd", "containerd")
    if node.remove_containers():  # its API server still remembers them until it starts again
        processes.stop("containerd")
        processes.start(node.containerd())
        processes.wait_until(node.containerd_is_ready, "answer of containerd", "containerd")


def _node_is_ready() -> bool:
    try:
        status = kubectl(
            "get", "node", settings.NODE_NAME, "-o", "jsonpath={.status.conditions[?(@.type=='Ready')].status}"
        )
    except CommandError:
        return False
    return status == "True"


def _gets(url: str) -> bool:
    try:
        network.run_inside(["python3", "-c", f"import urllib.request; urllib.request.urlopen({url!r}, timeout=3)"])
    except CommandError:
        return False
    return True


@contextmanager
def lock() -> Iterator[None]:
    """One at a time on this machine of what brings the cluster up or down and builds or tries images."""
    settings.cache_root().mkdir(parents=True, exist_ok=True)
    with (settings.cache_root() / "cluster.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


class _Background:
    """A call in a thread of its own; `join` raises what it raised."""

    def __init__(self, call: Callable[[], None]) -> None:
        self._error: BaseException | None = None
        self._call = call
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._call()
        except BaseException as error:
            self._error = error

    def join(self) -> None:
        """Wait for the end of the call."""
        self._thread.join()
        if self._error is not None:
            raise self._error
