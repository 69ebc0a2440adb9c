"""Whose a child is. Pure.

A child with our controller reference is ours; one without any that carries our (KServe's) label is adopted, as after a
restore or a `kubectl delete --cascade=orphan`; any other belongs to somebody else and is left alone.
"""

from enum import Enum
from typing import Any

from haizen_operator import names

Manifest = dict[str, Any]


class Owner(Enum):
    """How a child stands to an InferenceService."""

    OURS = "ours"
    NOBODY = "nobody"
    """To be adopted."""
    OTHER = "other"


def owner_of(child: Manifest, isvc: Manifest) -> Owner:
    """How a live child stands to a live InferenceService."""
    controller = controller_of(child)
    if controller is not None:
        return Owner.OURS if controller.get("uid") == isvc["metadata"]["uid"] else Owner.OTHER
    labels = child["metadata"].get("labels") or {}
    named = labels.get(names.LABEL_INFERENCE_SERVICE) == isvc["metadata"]["name"]
    return Owner.NOBODY if named else Owner.OTHER


def is_going(metadata: Manifest) -> bool:
    """Whether an object is being deleted and waits for its finalizers."""
    return "deletionTimestamp" in metadata


def controller_of(child: Manifest) -> Manifest | None:
    """The owner reference that is the controller, if there is one."""
    references: list[Manifest] = child["metadata"].get("ownerReferences") or []
    return next((reference for reference in references if reference.get("controller")), None)


def owner_text(child: Manifest) -> str | None:
    """The controller in words, for a condition; None without one."""
    controller = controller_of(child)
    if controller is None:
        return None
    return f"{controller.get('kind')} {controller.get('name')} (uid {controller.get('uid')})"
