"""The PyPI package `kserve`, unchanged, in an environment of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

from e2e import digits
from e2e.context import Context
from e2e.stories import story

PACKAGE = "kserve==0.21.0"
CLIENT_LIBRARY = "kubernetes<36"  # later ones refuse the SDK's own objects: "Input should be a valid dictionary"
CLIENT = Path(__file__).resolve().parents[1] / "kserve_client.py"


@story("kserve-sdk", "the PyPI package kserve: create, wait, get, patch a canary, delete", order=85)
def kserve_sdk(context: Context) -> None:
    """KServeClient's calls all work."""
    store = context.store
    store.upload({f"variants/{seed}/model.joblib": digits.train_variant(context.workspace, seed) for seed in (1, 2)})
    python = environment()
    done = subprocess.run(
        [
            python,
            str(CLIENT),
            context.namespace,
            store.SERVICE_ACCOUNT,
            store.uri("variants/1"),
            store.uri("variants/2"),
        ],
        env={**os.environ, "KUBECONFIG": str(context.kubectl.kubeconfig)},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:] or done.stdout[-2000:]
    for step, outcome in json.loads(done.stdout.strip().splitlines()[-1]).items():
        context.note(step, outcome)


def environment() -> Path:
    """Return the Python of a virtual environment with the package, made once in the cache folder."""
    cache = Path(os.environ.get("HAIZEN_CACHE") or Path.home() / ".cache" / "haizen")
    folder = cache / PACKAGE.replace("==", "-")
    marker = folder / ".installed"
    if not marker.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run(
            [str(folder / "bin" / "pip"), "install", "--quiet", PACKAGE, CLIENT_LIBRARY], check=True, timeout=600
        )
        marker.touch()
    return folder / "bin" / "python"
