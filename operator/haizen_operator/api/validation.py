"""The offline validator: what the API server would refuse, and what would go wrong behind it."""

import re
from functools import cache
from typing import Any

from haizen_operator.api.annotations import annotation_problems
from haizen_operator.api.crd import KINDS, Kind, kind_schema, types_of
from haizen_operator.api.problem import Problem
from haizen_operator.api.rules import RULES, TRANSITIONS, Rule
from haizen_operator.api.structure import (
    Visit,
    structural_problems,
    unknown_field_problems,
    visits,
    without_nulls,
)

__all__ = ["Problem", "admission_problems", "pass_through_problems", "unknown_fields", "validate_manifest"]

_IN_CANARY = re.compile(r"spec\.canary\[\d+\]\.")
_KINDS = {kind.name: kind for kind in KINDS}


def validate_manifest(obj: dict[str, Any], previous: dict[str, Any] | None = None) -> list[Problem]:
    """Everything that is wrong with a manifest of one of our kinds; empty when it is right.

    ``previous`` is the manifest before an update, for the rules about changes. Nothing is raised for bad input.
    """
    kind, problems = _kind_of(obj)
    if kind is None:
        return problems
    visited = _visits(kind, obj)
    problems = _admission_problems(kind, visited, obj, previous) or annotation_problems(obj)
    return [*problems, *_pass_through_problems(visited), *unknown_field_problems(visited)]


def admission_problems(obj: dict[str, Any], previous: dict[str, Any] | None = None) -> list[Problem]:
    """What a kube-apiserver with our CRDs refuses (without strict field validation)."""
    kind, problems = _kind_of(obj)
    return problems if kind is None else _admission_problems(kind, _visits(kind, obj), obj, previous)


def unknown_fields(obj: dict[str, Any]) -> list[Problem]:
    """Fields that nobody knows, at any depth, also in the parts passed through to Kubernetes."""
    kind, _ = _kind_of(obj)
    return unknown_field_problems(_visits(kind, obj)) if kind else []


def pass_through_problems(obj: dict[str, Any]) -> list[Problem]:
    """Wrong types in the parts passed through to Kubernetes, which the CRDs leave open."""
    kind, _ = _kind_of(obj)
    return _pass_through_problems(_visits(kind, obj)) if kind else []


def _admission_problems(
    kind: Kind, visited: list[Visit], obj: dict[str, Any], previous: dict[str, Any] | None
) -> list[Problem]:
    visited = [visit for visit in visited if visit.in_crd]
    # Rules read fields whose types they trust, as in the API server.
    return structural_problems(visited) or [*_broken_rules(kind, visited), *_broken_transitions(kind, obj, previous)]


def _pass_through_problems(visited: list[Visit]) -> list[Problem]:
    return structural_problems(visit for visit in visited if not visit.in_crd)


@cache
def _schema(kind: Kind) -> dict[str, Any]:
    schema = kind_schema(kind)
    schema["properties"]["metadata"]["x-kubernetes-preserve-unknown-fields"] = True
    return schema


def _kind_of(obj: Any) -> tuple[Kind | None, list[Problem]]:
    if not isinstance(obj, dict):
        return None, [Problem("", "a manifest must be an object with apiVersion, kind, metadata and spec")]
    kind = _KINDS.get(str(obj.get("kind")))
    if kind is None:
        return None, [Problem("kind", f"must be one of {', '.join(_KINDS)}, not {obj.get('kind')!r}")]
    if obj.get("apiVersion") != kind.api_version:
        return None, [Problem("apiVersion", f"must be {kind.api_version}, not {obj.get('apiVersion')!r}")]
    if not isinstance(obj.get("metadata"), dict):
        return None, [Problem("metadata", "must be an object with a name")]
    return kind, []


def _visits(kind: Kind, obj: dict[str, Any]) -> list[Visit]:
    return list(visits(_schema(kind), without_nulls({key: value for key, value in obj.items() if key != "status"})))


def _broken_rules(kind: Kind, visited: list[Visit]) -> list[Problem]:
    return [
        Problem(f"{visit.path}{rule.field}".lstrip("."), rule.message)
        for visit in visited
        if (types := types_of(visit.schema))
        for rule in _rules_for(kind.name, types, in_canary=_IN_CANARY.match(visit.path) is not None)
        if not rule.holds(visit.value)
    ]


@cache
def _rules_for(kind: str, types: tuple[str, ...], *, in_canary: bool) -> tuple[Rule, ...]:
    return tuple(rule for rule in RULES if rule.applies_to(kind, types, in_canary=in_canary))


def _broken_transitions(kind: Kind, obj: dict[str, Any], previous: dict[str, Any] | None) -> list[Problem]:
    if previous is None:
        return []
    types = types_of(_schema(kind)["properties"]["spec"])
    return [
        Problem(f"spec{rule.field}", rule.message)
        for rule in TRANSITIONS
        if rule.type in types and not rule.allows(without_nulls(obj["spec"]), without_nulls(previous["spec"]))
    ]
