"""Events for the user: what `kubectl describe isvc` shows at its end."""

import hashlib
from typing import Any

from haizen_operator.kinds import EVENT
from haizen_operator.status import Event

COMPONENT = "haizen-operator"
_MESSAGE_LIMIT = 1024  # the API's limit on an event's message, in bytes


def manifest(isvc: dict[str, Any], event: Event, time: str) -> dict[str, Any]:
    """The core v1 Event. Its name follows from its content, so that posting it twice makes one."""
    metadata = isvc["metadata"]
    identity = "\n".join((metadata["uid"], event.reason, event.message, time))
    return {
        "apiVersion": EVENT.api_version,
        "kind": EVENT.kind,
        "metadata": {
            "name": f"{metadata['name'][:200]}.{hashlib.sha256(identity.encode()).hexdigest()[:16]}",
            "namespace": metadata["namespace"],
        },
        "type": event.type,
        "reason": event.reason,
        "message": _cut(event.message),
        "count": 1,
        "firstTimestamp": time,
        "lastTimestamp": time,
        "source": {"component": COMPONENT},
        "reportingComponent": COMPONENT,
        "involvedObject": {
            "apiVersion": isvc["apiVersion"],
            "kind": isvc["kind"],
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "uid": metadata["uid"],
        },
    }


def _cut(text: str) -> str:
    raw = text.encode()
    return text if len(raw) <= _MESSAGE_LIMIT else raw[: _MESSAGE_LIMIT - 3].decode("utf-8", "ignore") + "…"
