"""The built-in ClusterServingRuntimes: YAML beside this file, one per model format, all on our own server.

A runtime names the kind of image it needs: ``haizen-runtime`` is the small one, ``haizen-runtime:torch`` the one with
PyTorch, and so on (docs/design/0006).
"""

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import yaml

#: Stands in the YAML for the image of our runtime, alone or with a kind as its tag.
IMAGE_PLACEHOLDER = "haizen-runtime"
_NO_IMAGES: Mapping[str, str] = {}


def load_builtin_runtimes(image: str, images: Mapping[str, str] = _NO_IMAGES) -> list[dict[str, Any]]:
    """The built-in ClusterServingRuntimes as manifests, sorted by name.

    ``image`` is the server's small image, ``images`` names those of other kinds where they are not ``image`` with the
    kind behind its tag. Runtimes are left out whose kind has no image, which ``kinds_without_image`` tells.
    """
    runtimes = []
    for runtime in _manifests():
        found = [_image_of(container["image"], image, images) for container in runtime["spec"]["containers"]]
        if all(found):
            for container, filled in zip(runtime["spec"]["containers"], found, strict=True):
                container["image"] = filled
            runtimes.append(runtime)
    return runtimes


def kinds_without_image(image: str, images: Mapping[str, str] = _NO_IMAGES) -> list[str]:
    """The kinds of image that built-in runtimes need and that can be neither looked up nor derived, sorted."""
    needed = {container["image"] for runtime in _manifests() for container in runtime["spec"]["containers"]}
    return sorted(named.partition(":")[2] for named in needed if _image_of(named, image, images) is None)


def image_of_kind(kind: str, image: str, images: Mapping[str, str] = _NO_IMAGES) -> str | None:
    """The image of a kind: what ``images`` says, else ``image`` with ``-<kind>`` behind its tag; none for a digest."""
    if kind in images:
        return images[kind]
    name, _, tag = image.rpartition(":")
    if "@" in image:
        return None
    return f"{image}-{kind}" if name and "/" not in tag else f"{image}:{kind}"


def _image_of(named: str, image: str, images: Mapping[str, str]) -> str | None:
    placeholder, _, kind = named.partition(":")
    if placeholder != IMAGE_PLACEHOLDER:
        return named
    return image_of_kind(kind, image, images) if kind else image


def _manifests() -> list[dict[str, Any]]:
    documents = sorted(
        (entry for entry in files(__package__).iterdir() if entry.name.endswith(".yaml")), key=lambda entry: entry.name
    )
    return [yaml.safe_load(entry.read_text("utf-8")) for entry in documents]
