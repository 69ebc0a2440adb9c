"""The built-in ClusterServingRuntimes: YAML beside this file, one per model format, all on our own server."""

from importlib.resources import files
from typing import Any

import yaml

#: Stands in the YAML for the image of our runtime; kustomize's ``images`` can replace it as well.
IMAGE_PLACEHOLDER = "haizen-runtime"


def load_builtin_runtimes(image: str) -> list[dict[str, Any]]:
    """The built-in ClusterServingRuntimes as manifests, sorted by name, with ``image`` as the server's image."""
    documents = sorted(
        (entry for entry in files(__package__).iterdir() if entry.name.endswith(".yaml")), key=lambda entry: entry.name
    )
    runtimes: list[dict[str, Any]] = [yaml.safe_load(entry.read_text("utf-8")) for entry in documents]
    for runtime in runtimes:
        for container in runtime["spec"]["containers"]:
            if container["image"] == IMAGE_PLACEHOLDER:
                container["image"] = image
    return runtimes
