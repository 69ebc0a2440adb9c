"""The cluster as a user sees it: kubectl with a kubeconfig, answers as dictionaries."""

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import yaml

Manifest = dict[str, Any]
Found = TypeVar("Found")


class KubectlError(RuntimeError):
    """kubectl exited non-zero; the message is what it printed."""


class Kubectl:
    """Runs kubectl against one cluster."""

    def __init__(self, kubeconfig: Path) -> None:
        self.kubeconfig = kubeconfig

    def run(self, *arguments: str, stdin: str | None = None, timeout_seconds: float = 120) -> str:
        """Return kubectl's output. Raises KubectlError with its message when it fails."""
        command = ["kubectl", *arguments]
        environ = {**os.environ, "KUBECONFIG": str(self.kubeconfig)}
        done = subprocess.run(
            command, input=stdin, env=environ, capture_output=True, text=True, timeout=timeout_seconds, check=False
        )
        if done.returncode != 0:
            raise KubectlError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def get(self, kind: str, name: str, namespace: str | None = None) -> Manifest | None:
        """Return one object, or None when there is none."""
        scope = ["-n", namespace] if namespace else []
        try:
            found: Manifest = json.loads(self.run("get", kind, name, *scope, "-o", "json"))
        except KubectlError as problem:
            if "NotFound" in str(problem) or "not found" in str(problem):
                return None
            raise
        return found

    def list(self, kind: str, namespace: str | None = None, selector: str = "") -> list[Manifest]:
        """Return the objects of a kind, of one namespace or of all."""
        scope = ["-n", namespace] if namespace else ["-A"]
        chosen = ["-l", selector] if selector else []
        items: list[Manifest] = json.loads(self.run("get", kind, *scope, *chosen, "-o", "json"))["items"]
        return items

    def apply(self, *manifests: Manifest, server_side: bool = False) -> None:
        """Apply objects as `kubectl apply -f` does."""
        mode = ["--server-side", "--force-conflicts"] if server_side else []
        self.run("apply", *mode, "-f", "-", stdin=yaml.safe_dump_all(manifests))

    def patch(self, kind: str, name: str, namespace: str, patch: Manifest, how: str = "merge") -> None:
        """Patch one object (how: merge, json or strategic)."""
        self.run("patch", kind, name, "-n", namespace, f"--type={how}", "-p", json.dumps(patch))

    def delete(self, kind: str, name: str, namespace: str | None = None, wait: bool = False) -> None:
        """Delete one object; none there is fine."""
        scope = ["-n", namespace] if namespace else []
        self.run("delete", kind, name, *scope, "--ignore-not-found", f"--wait={str(wait).lower()}")


def wait_for(
    what: str,
    probe: Callable[[], Found | None],
    timeout_seconds: float = 180.0,
    every_seconds: float = 0.5,
    explain: Callable[[], object] | None = None,
) -> Found:
    """Poll until `probe` returns something true; returns it. A look that fails has seen nothing yet, and is repeated.

    Raises TimeoutError that says what was waited for, and how the last look failed or what `explain` sees at the end.
    """
    deadline = time.monotonic() + timeout_seconds
    while True:
        failure = ""
        try:
            found = probe()
            if found:
                return found
        except (KubectlError, subprocess.TimeoutExpired) as problem:  # such as a TLS handshake on a busy machine
            failure = str(problem)
        if time.monotonic() > deadline:
            seen = failure or (explain() if explain else "")
            raise TimeoutError(f"{what}: not within {timeout_seconds:.0f} s" + (f"; seen: {seen}" if seen else ""))
        time.sleep(every_seconds)


def condition(manifest: Manifest | None, kind: str) -> Manifest:
    """Return a status condition, or an empty one."""
    conditions: Iterable[Manifest] = ((manifest or {}).get("status") or {}).get("conditions") or []
    return next((item for item in conditions if item.get("type") == kind), {})


def is_true(manifest: Manifest | None, kind: str = "Ready") -> bool:
    """Say whether a condition is True and speaks of the current generation, where it tells one."""
    if manifest is None or condition(manifest, kind).get("status") != "True":
        return False
    observed = manifest["status"].get("observedGeneration")
    return observed is None or bool(observed >= manifest["metadata"]["generation"])
