"""What a rule is: one row of the table that the CRDs and the offline validator are both made from."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Manifest = dict[str, Any]


@dataclass(frozen=True)
class Rule:
    """A condition on one type of object, said twice: in CEL for the API server, in Python for ``haizen validate``.

    ``accepted`` and ``refused`` are whole manifests; the tests send each of them to a real kube-apiserver and through
    the offline validator, which must agree in verdict, field and message.
    """

    id: str
    #: The model class, or the Kubernetes type, whose objects the rule is about; subclasses are included.
    type: str
    cel: str
    holds: Callable[[Any], bool]
    message: str
    accepted: Manifest
    refused: Manifest
    #: Path of the field that is wrong, below the object the rule is about: "" or ".minReplicas".
    field: str = ""
    #: The kinds the rule is for; empty for all.
    kinds: frozenset[str] = frozenset()
    #: Whether the rule is also for the predictors of ``spec.canary``; KServe checks fewer things there.
    in_canary: bool = True

    def applies_to(self, kind: str, types: tuple[str, ...], *, in_canary: bool) -> bool:
        """Whether the rule is about an object of one of these types, in a manifest of this kind."""
        return self.type in types and (not self.kinds or kind in self.kinds) and (self.in_canary or not in_canary)


@dataclass(frozen=True)
class TransitionRule:
    """A condition on a change of ``spec``: the new one against the one before."""

    id: str
    type: str
    cel: str
    allows: Callable[[Any, Any], bool]
    message: str
    before: Manifest
    accepted: Manifest
    refused: Manifest
    field: str = ""


def has(value: Any, *path: str) -> bool:
    """CEL's ``has`` along a path: whether every field on it is there."""
    for name in path:
        if not isinstance(value, dict) or value.get(name) is None:
            return False
        value = value[name]
    return True


def env_names(container: Any) -> list[str]:
    """Names of the environment variables of a container."""
    return [str(entry.get("name")) for entry in container.get("env") or []]
