"""Which image tag a container gets: ``runtimeVersion``, and KServe's rules for GPU and CPU builds."""

import re
from collections.abc import Mapping
from typing import Any

_TAG = re.compile(r":([\w.\-_]*)$", re.ASCII)
GPU_RESOURCE = "nvidia.com/gpu"
MIG_PREFIX = "nvidia.com/mig"

# Other vendors' servers publish their GPU build as "<tag>-gpu".
_GPU_TAG_SERVERS = frozenset({"tensorflow-serving", "torchserve", "huggingfaceserver"})
# vLLM publishes its CPU build as a repository of its own, "<image>-cpu".
_CPU_REPOSITORY_SERVERS = frozenset({"vllmserver"})


def wants_gpu(container: Mapping[str, Any]) -> bool:
    """Whether a container's limits or requests name an NVIDIA GPU or a MIG slice of one."""
    resources = container.get("resources") or {}
    named = [*(resources.get("limits") or {}), *(resources.get("requests") or {})]
    return any(resource == GPU_RESOURCE or resource.startswith(MIG_PREFIX) for resource in named)


def resolve_image(container: Mapping[str, Any], runtime_version: str | None, server: str) -> str | None:
    """The container's image after KServe's rules, none when it has none.

    A digest is never touched. ``runtimeVersion`` replaces the tag. Without it, the servers that KServe knows get the
    build that fits the GPU.
    """
    image = container.get("image")
    if not image or "@sha256:" in image:
        return image
    tag = _TAG.search(image)
    if runtime_version is not None:
        return f"{image[: tag.start()] if tag else image}:{runtime_version}"
    if tag is None:
        return str(image)
    name = image[: tag.start()]
    if wants_gpu(container):
        if server in _GPU_TAG_SERVERS and not image.endswith("-gpu"):
            return f"{image}-gpu"
    elif server in _CPU_REPOSITORY_SERVERS and not name.endswith("-cpu"):
        return f"{name}-cpu{tag.group()}"
    return str(image)
