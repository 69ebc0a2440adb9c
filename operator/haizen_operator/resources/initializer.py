"""An upgrade of haizen rolls nobody's pods: the init container of a running service keeps its image.

The image that downloads models for foreign servers is ours and changes with every release. A service whose template
would differ in nothing else keeps the image it runs with; the next real change of the service takes the new one.
"""

from collections.abc import Mapping
from typing import Any

from haizen_operator.names import ANNOTATION_TEMPLATE_HASH, CONTAINER_STORAGE_INITIALIZER
from haizen_operator.resources.hashing import canonical, template_hash, with_template_hash


def keep_running_initializer(service: Mapping[str, Any], live: Mapping[str, Any] | None) -> dict[str, Any]:
    """The wanted Knative Service, with the live one's downloader image if that is the only difference.

    ``live`` is the Knative Service on the cluster, none if there is none. Only a template that carries our hash is
    compared, so what KServe made is never taken for ours.
    """
    wanted = service["spec"]["template"]
    template = ((live or {}).get("spec") or {}).get("template") or {}
    recorded = ((template.get("metadata") or {}).get("annotations") or {}).get(ANNOTATION_TEMPLATE_HASH)
    images = [
        container.get("image")
        for container in (template.get("spec") or {}).get("initContainers") or []
        if container.get("name") == CONTAINER_STORAGE_INITIALIZER
    ]
    if recorded is None or len(images) != 1 or recorded == template_hash(wanted):
        return dict(service)
    containers = [
        {**container, "image": images[0]} if container.get("name") == CONTAINER_STORAGE_INITIALIZER else container
        for container in wanted["spec"].get("initContainers") or []
    ]
    kept = {**wanted, "spec": {**wanted["spec"], "initContainers": containers}}
    if template_hash(kept) != recorded:
        return dict(service)
    result: dict[str, Any] = canonical({**service, "spec": {**service["spec"], "template": with_template_hash(kept)}})
    return result
