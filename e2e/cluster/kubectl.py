"""kubectl on the cluster made here."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from e2e.cluster import binaries, settings
from e2e.cluster.shell import CommandError, run

Manifest = dict[str, Any]


def program() -> Path:
    """kubectl from PATH, else one built here."""
    found = shutil.which("kubectl")
    return Path(found) if found else binaries.ensure(["kubectl"]) / "kubectl"


def kubectl(*arguments: str, stdin: bytes | None = None, timeout_seconds: float = 300) -> str:
    """Run kubectl as administrator and return what it printed; raises CommandError when it fails."""
    kubeconfig = f"--kubeconfig={settings.kubeconfig()}"
    return run([program(), kubeconfig, *arguments], stdin=stdin, timeout_seconds=timeout_seconds)


def apply(manifests: Sequence[Manifest]) -> None:
    """Apply objects server-side, in their order."""
    listing = {"apiVersion": "v1", "kind": "List", "items": list(manifests)}
    kubectl(
        *("apply", "--server-side", "--force-conflicts", "--field-manager=cluster", "-f", "-"),
        stdin=json.dumps(listing).encode(),
    )


def answers(path: str) -> bool:
    """Whether the API answers this path with success."""
    try:
        kubectl("get", "--raw", path, timeout_seconds=10)
    except CommandError:
        return False
    return True
