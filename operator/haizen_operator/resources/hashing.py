"""Hashes of objects, the same for the same content in whatever order it came."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from haizen_operator.names import ANNOTATION_DESIRED_HASH, ANNOTATION_TEMPLATE_HASH

_HASH_LENGTH = 16  # hexadecimal digits: 64 bits tell any two templates of one service apart


def canonical_hash(value: Any) -> str:
    """A short hash of JSON-like data; the order of keys has no say, the order of lists has."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:_HASH_LENGTH]


def template_hash(template: Mapping[str, Any]) -> str:
    """The hash of a revision template, its own hash annotation left out."""
    return canonical_hash(_without_annotation(template, ANNOTATION_TEMPLATE_HASH))


def with_template_hash(template: Mapping[str, Any]) -> dict[str, Any]:
    """The template, annotated with the hash of itself."""
    return _annotated(template, ANNOTATION_TEMPLATE_HASH, template_hash(template))


def object_hash(child: Mapping[str, Any]) -> str:
    """The hash of a child as we want it, its own hash annotation left out."""
    return canonical_hash(_without_annotation(child, ANNOTATION_DESIRED_HASH))


def with_object_hash(child: Mapping[str, Any]) -> dict[str, Any]:
    """The child, annotated with the hash of itself on its own metadata (never in a pod template)."""
    return _annotated(child, ANNOTATION_DESIRED_HASH, object_hash(child))


def _annotated(thing: Mapping[str, Any], annotation: str, value: str) -> dict[str, Any]:
    metadata = dict(thing.get("metadata") or {})
    annotations = {**(metadata.get("annotations") or {}), annotation: value}
    metadata["annotations"] = dict(sorted(annotations.items()))
    return {**thing, "metadata": metadata}


def _without_annotation(thing: Mapping[str, Any], annotation: str) -> dict[str, Any]:
    metadata = dict(thing.get("metadata") or {})
    annotations = {key: value for key, value in (metadata.pop("annotations", None) or {}).items() if key != annotation}
    if annotations:
        metadata["annotations"] = annotations
    return {**thing, "metadata": metadata}


def canonical(value: Any) -> Any:
    """A deep copy with every dict in the order of its keys, so that equal objects are also written equally."""
    if isinstance(value, dict):  # not Mapping: that check costs as much as all the rest, for each of 100 values
        return {key: canonical(value[key]) for key in sorted(value)}
    return [canonical(item) for item in value] if isinstance(value, list | tuple) else value
