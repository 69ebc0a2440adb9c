"""haizen on the cluster, as a user installs it: the Helm chart."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from e2e.kubectl import Kubectl, KubectlError, wait_for

NAMESPACE = "haizen-system"
RELEASE = "haizen"
DEPLOYMENT = "haizen-operator"
CHART = Path(__file__).resolve().parents[1] / "charts" / "haizen"
RESTRICTED = {
    "pod-security.kubernetes.io/enforce": "restricted",
    "pod-security.kubernetes.io/enforce-version": "latest",
}


def rolls_with(digest: str) -> tuple[str, ...]:
    """Return the value that makes the Deployment roll when an image changed under the same name."""
    return (f"operator.podAnnotations.image={digest.rpartition(':')[2][:12]}",) if digest else ()


class Installation:
    """Installs, upgrades, stops and asks the operator."""

    def __init__(self, kubectl: Kubectl, helm: str = "helm") -> None:
        self.kubectl = kubectl
        self.helm_binary = os.environ.get("HAIZEN_HELM", helm)

    def helm(self, *arguments: str, timeout_seconds: float = 300) -> str:
        """Run helm; raises RuntimeError with what it printed."""
        environ = {**os.environ, "KUBECONFIG": str(self.kubectl.kubeconfig)}
        done = subprocess.run(
            [self.helm_binary, *arguments],
            env=environ,
            capture_output=True,
            text=True,
            timeout=timeout_seconds,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"helm {' '.join(arguments)}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def install(self, *values: str) -> None:
        """Install or upgrade the chart with the images under test, where the restricted standard is enforced."""
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": RESTRICTED}}
        self.kubectl.apply(namespace)
        images = (
            "operator.image.repository=dev.local/haizen-operator",
            "operator.image.tag=e2e",
            "runtime.image.repository=dev.local/haizen-runtime",
            "runtime.image.tag=e2e",
        )
        settings = [word for value in (*images, *values) for word in ("--set", value)]
        self.helm(
            "upgrade", "--install", RELEASE, str(CHART), "-n", NAMESPACE, "--wait", "--timeout", "240s", *settings
        )
        self.wait_leading()

    def uninstall(self) -> None:
        """Remove the release."""
        self.helm("uninstall", RELEASE, "-n", NAMESPACE, "--wait")

    def raw(self, path: str) -> str:
        """Return what the operator's HTTP port answers, through the API server."""
        return self.kubectl.run(
            "get", "--raw", f"/api/v1/namespaces/{NAMESPACE}/services/{DEPLOYMENT}:http/proxy{path}"
        )

    def metrics(self) -> str:
        """Return the operator's metrics."""
        return self.raw("/metrics")

    def wait_leading(self) -> None:
        """Wait until an operator holds the Lease and has applied the built-in runtimes."""

        def leads() -> bool:
            with contextlib.suppress(KubectlError):
                return bool(self.kubectl.get("clusterservingruntime", "haizen-sklearn"))
            return False

        wait_for("the operator leads and has applied the built-in runtimes", leads, 180)

    def scale(self, replicas: int) -> None:
        """Scale the operator and wait until that many pods run."""
        self.kubectl.run("scale", f"deployment/{DEPLOYMENT}", "-n", NAMESPACE, f"--replicas={replicas}")
        if replicas:
            self.kubectl.run(
                "rollout", "status", f"deployment/{DEPLOYMENT}", "-n", NAMESPACE, "--timeout=180s", timeout_seconds=200
            )
        else:
            selector = "app.kubernetes.io/component=operator"
            wait_for("the operator's pods are gone", lambda: not self.kubectl.list("pods", NAMESPACE, selector), 120)

    @contextlib.contextmanager
    def operator_down(self) -> Iterator[None]:
        """Nobody reconciles inside the block."""
        self.scale(0)
        try:
            yield
        finally:
            self.scale(1)
