"""Reads the scheduler's message: which resource lacks, and what else keeps nodes away."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation

from haizen_operator.diagnosis.redact import redact
from haizen_operator.rollout.knative import Manifest, dig, mappings

_INSUFFICIENT = re.compile(r"Insufficient ([a-z0-9.-]+(?:/[A-Za-z0-9._-]+)?)")
_HEAD = re.compile(r"^\d+/(\d+) nodes are available:\s*")

_SUFFIXES: Mapping[str, Decimal] = {
    "": Decimal(1),
    "m": Decimal("0.001"),
    "k": Decimal(10) ** 3,
    "M": Decimal(10) ** 6,
    "G": Decimal(10) ** 9,
    "T": Decimal(10) ** 12,
    "Ki": Decimal(2) ** 10,
    "Mi": Decimal(2) ** 20,
    "Gi": Decimal(2) ** 30,
    "Ti": Decimal(2) ** 40,
}
_QUANTITY = re.compile(r"^(\d+(?:\.\d+)?)(m|k|M|G|T|Ki|Mi|Gi|Ti)?$")


def unschedulable(pod: Manifest, message: str) -> str:
    """Say in one sentence why no node takes the pod, the lacking resources first, with how much the pod asks for.

    ``message`` is the scheduler's, such as ``0/2 nodes are available: 1 Insufficient nvidia.com/gpu, 1 node(s) had
    untolerated taint {dedicated: ml}. preemption: ...``. An unknown form is passed on as it is.
    """
    text = message.strip()
    head = _HEAD.match(text)
    if head is None:
        return f"the pod cannot be scheduled: {redact(text)}" if text else "the pod cannot be scheduled"
    body = text[head.end() :].split(" preemption:")[0].strip().rstrip(".")
    lacking = sorted(set(_INSUFFICIENT.findall(body)))
    others = [part.strip() for part in body.split(", ") if part.strip() and not _INSUFFICIENT.search(part)]
    nodes = int(head.group(1))
    words = [f"not enough {name}{_asked(pod, name)}" for name in lacking] + sorted(others)
    where = (
        "the cluster has no node" if nodes == 0 else f"none of {nodes} node{'s' if nodes > 1 else ''} can take the pod"
    )
    return redact(f"{where}: {'; '.join(words)}") if words else where


def _asked(pod: Manifest, resource: str) -> str:
    values = [v for c in mappings(dig(pod, "spec", "containers")) if (v := _request(c, resource)) is not None]
    if not values:
        return ""
    total = _sum(values)
    return f" (the pod asks for {total})" if total else f" (the pod asks for {' + '.join(values)})"


def _request(container: Manifest, resource: str) -> str | None:
    for kind in ("requests", "limits"):  # a limit alone is a request too
        value = (dig(container, "resources", kind) or {}).get(resource)
        if value is not None:
            return str(value)
    return None


def _sum(values: Iterable[str]) -> str | None:
    """Add quantities up; None when one has a form not known here."""
    listed = list(values)
    if len(listed) == 1:
        return listed[0]
    total = Decimal(0)
    for value in listed:
        match = _QUANTITY.match(value)
        if match is None:
            return None
        try:
            total += Decimal(match.group(1)) * _SUFFIXES[match.group(2) or ""]
        except InvalidOperation:
            return None
    for suffix in ("Gi", "Mi", "Ki"):
        if total >= _SUFFIXES[suffix] and total % _SUFFIXES[suffix] == 0:
            return f"{total / _SUFFIXES[suffix]:f}{suffix}"
    return f"{total.normalize():f}"
