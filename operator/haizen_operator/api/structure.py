"""Checks values against our schemas: types, enumerations, limits and names of fields.

The same schemas stand in the CRDs, where the API server checks them. Beyond a CRD, this check also looks into the parts
that are passed through to Kubernetes, and names fields that would be dropped or refused later.
"""

import difflib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from haizen_operator.api.kubernetes_types import TYPE_MARKER, fields_of, kubernetes_types, schema_of
from haizen_operator.api.problem import Problem, child, element

_WORDS = {
    "object": "an object",
    "array": "a list",
    "string": "a string",
    "integer": "an integer",
    "number": "a number",
    "boolean": "true or false",
}


@dataclass(frozen=True)
class Visit:
    """A value at its place: path, value, the schema for it, and whether a CRD lists its fields."""

    path: str
    value: Any
    schema: dict[str, Any]
    in_crd: bool


def visits(schema: dict[str, Any], value: Any, path: str = "", *, in_crd: bool = True) -> Iterator[Visit]:
    """Every value in a manifest whose schema is known, parents first."""
    yield Visit(path, value, schema, in_crd)
    if isinstance(value, dict):
        listed = schema.get("properties", {})
        deep = _deep_fields(schema)
        for name, item in value.items():
            if name in listed:
                yield from visits(listed[name], item, child(path, name), in_crd=in_crd)
            elif name in deep:
                yield from visits(schema_of(deep[name]), item, child(path, name), in_crd=False)
            elif isinstance(schema.get("additionalProperties"), dict):
                yield from visits(schema["additionalProperties"], item, child(path, name), in_crd=in_crd)
    elif isinstance(value, list) and "items" in schema:
        for index, item in enumerate(value):
            yield from visits(schema["items"], item, element(path, index), in_crd=in_crd)


def without_nulls(value: Any) -> Any:
    """A value without fields that are null: the API server drops them before it looks."""
    if isinstance(value, dict):
        return {name: without_nulls(item) for name, item in value.items() if item is not None}
    if isinstance(value, list):
        return [without_nulls(item) for item in value]
    return value


def structural_problems(visited: Iterable[Visit]) -> list[Problem]:
    """Wrong types, values outside their limits, and missing fields."""
    return [problem for visit in visited for problem in _check(visit)]


def unknown_field_problems(visited: Iterable[Visit]) -> list[Problem]:
    """Fields that neither KServe nor Kubernetes knows; the nearest known name is suggested."""
    return [problem for visit in visited for problem in _check_names(visit)]


def _deep_fields(schema: dict[str, Any]) -> dict[str, str]:
    name = schema.get(TYPE_MARKER)
    return fields_of(name) if name in kubernetes_types() else {}


def _check(visit: Visit) -> Iterator[Problem]:
    schema, value, path = visit.schema, visit.value, visit.path
    if schema.get("x-kubernetes-int-or-string"):
        if isinstance(value, bool) or not isinstance(value, int | str):
            yield Problem(path, f"must be an integer or a string, not {_describe(value)}")
        elif isinstance(value, str) and "pattern" in schema and not re.search(schema["pattern"], value):
            yield Problem(path, f'must be a quantity such as 2, "500m" or "4Gi", not {_describe(value)}')
        return
    if not _has_type(schema.get("type"), value):
        yield Problem(path, f"must be {_WORDS[schema['type']]}, not {_describe(value)}")
        return
    if "enum" in schema and value not in schema["enum"]:
        yield Problem(path, f"must be one of {', '.join(map(str, schema['enum']))}, not {_describe(value)}")
    yield from _check_limits(visit)
    for name in schema.get("required", ()):
        if isinstance(value, dict) and name not in value:
            yield Problem(child(path, name), "must be set")


def _check_limits(visit: Visit) -> Iterator[Problem]:
    schema, value, path = visit.schema, visit.value, visit.path
    if isinstance(value, int | float) and not isinstance(value, bool):
        if value < schema.get("minimum", value):
            yield Problem(path, f"must be {schema['minimum']} or more, not {value}")
        if value > schema.get("maximum", value):
            yield Problem(path, f"must be {schema['maximum']} or less, not {value}")
    elif isinstance(value, str):
        yield from _check_size(path, len(value), schema, "Length", "characters")
        if "pattern" in schema and not re.search(schema["pattern"], value):
            yield Problem(path, f"must match {schema['pattern']}, which {_describe(value)} does not")
    elif isinstance(value, list):
        yield from _check_size(path, len(value), schema, "Items", "elements")


def _check_size(path: str, size: int, schema: dict[str, Any], limit: str, unit: str) -> Iterator[Problem]:
    least, most = schema.get(f"min{limit}", 0), schema.get(f"max{limit}", size)
    if size < least:
        yield Problem(path, f"must have at least {least} {unit}, not {size}")
    if size > most:
        yield Problem(path, f"must have at most {most} {unit}, not {size}")


def _check_names(visit: Visit) -> Iterator[Problem]:
    schema, value = visit.schema, visit.value
    deep = _deep_fields(schema)
    known = {**schema.get("properties", {}), **deep}
    open_ended = bool(schema.get("x-kubernetes-preserve-unknown-fields")) and not deep
    if not isinstance(value, dict) or not known or open_ended:
        return
    for name in value:
        if name not in known:
            nearest = difflib.get_close_matches(str(name), known, n=1)
            hint = f"; did you mean {nearest[0]}?" if nearest else ""
            yield Problem(child(visit.path, str(name)), f"unknown field{hint}")


def _has_type(expected: str | None, value: Any) -> bool:
    match expected:
        case "object":
            return isinstance(value, dict)
        case "array":
            return isinstance(value, list)
        case "string":
            return isinstance(value, str)
        case "boolean":
            return isinstance(value, bool)
        case "integer":
            return not isinstance(value, bool) and (
                isinstance(value, int) or (isinstance(value, float) and value.is_integer())
            )
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
    return True


def _describe(value: Any) -> str:
    """A value for people: short, and clear about its type."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'the string "{value if len(value) <= 60 else value[:57] + "..."}"'
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    return str(value)
