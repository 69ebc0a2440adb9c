"""The fields of Kubernetes' own types (core/v1 PodSpec and everything in it), as data.

The table is read from a kube-apiserver's OpenAPI document and kept beside this file; a test compares the two. A type is
written as ``string``, ``integer``, ``boolean``, ``quantity``, ``intOrString``, ``object``, the name of another type, or
one of these behind ``[]`` (list) or ``{}`` (map).
"""

import json
from functools import cache
from importlib.resources import files
from typing import Any

from haizen_operator.api.quantity import QUANTITY_PATTERN

#: Types whose plain fields stand in the CRD (which must stay small); the rest is passed through and checked offline.
EXPANDED_TYPES = frozenset({"Container", "EnvVar", "ResourceRequirements"})

#: Marks a schema with the Kubernetes type behind it, for the offline check; left out of the CRD.
TYPE_MARKER = "x-haizen-kubernetes-type"

# Lists that CEL rules look through: the API server asks for a limit. Nobody comes near these.
_LIST_LIMITS = {"Container": 64, "EnvVar": 1024}

_INT_OR_STRING = {"x-kubernetes-int-or-string": True}
_SCALARS: dict[str, dict[str, Any]] = {
    "string": {"type": "string"},
    "integer": {"type": "integer"},
    "boolean": {"type": "boolean"},
    "quantity": {**_INT_OR_STRING, "pattern": QUANTITY_PATTERN, TYPE_MARKER: "quantity"},
    "intOrString": _INT_OR_STRING,
    "object": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
}


@cache
def kubernetes_types() -> dict[str, dict[str, str]]:
    """Every known type: its name -> field -> type of the field."""
    text = files("haizen_operator.api").joinpath("kubernetes_types.json").read_text(encoding="utf-8")
    types: dict[str, dict[str, str]] = json.loads(text)
    return types


def fields_of(type_name: str) -> dict[str, str]:
    """The fields of a type: name -> type. Raises KeyError for a type that is not in the table."""
    return kubernetes_types()[type_name]


def schema_of(notation: str) -> dict[str, Any]:
    """The OpenAPI schema of a type, as it stands in a CRD: fields that are not listed are kept as they come."""
    if notation.startswith("[]"):
        limit = {"maxItems": _LIST_LIMITS[notation[2:]]} if notation[2:] in _LIST_LIMITS else {}
        return {"type": "array", **limit, "items": schema_of(notation[2:])}
    if notation.startswith("{}"):
        return {"type": "object", "additionalProperties": schema_of(notation[2:])}
    if notation in _SCALARS:
        return dict(_SCALARS[notation])
    schema: dict[str, Any] = {"type": "object", "x-kubernetes-preserve-unknown-fields": True, TYPE_MARKER: notation}
    if notation in EXPANDED_TYPES:
        schema["properties"] = {name: schema_of(kind) for name, kind in fields_of(notation).items() if _is_plain(kind)}
    return schema


def _is_plain(notation: str) -> bool:
    element = notation.lstrip("[]{}")
    return element in _SCALARS or element in EXPANDED_TYPES
