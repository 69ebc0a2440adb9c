"""Read-only views of the live Knative objects: only what a rollout and a status need, and never an exception.

Facts about Knative that the views rely on (knative/serving, pkg/reconciler/{service,configuration,route}):

- A Configuration makes one Revision for each generation of its template and labels it
  ``serving.knative.dev/configurationGeneration``; equal templates in different generations make different Revisions.
- ``latestReadyRevisionName`` only moves forward, to the newest Revision that is Ready.
- A traffic target with ``latestRevision: true`` means that Revision, and not the newest one.
- The Service copies its children's status only when they have observed their own generation; until then the condition
  ``ConfigurationsReady`` (or ``RoutesReady``) is Unknown with reason ``OutOfDate``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from haizen_operator.names import ANNOTATION_TEMPLATE_HASH

GENERATION_LABEL = "serving.knative.dev/configurationGeneration"

Manifest = Mapping[str, Any]


def dig(obj: object, *path: str) -> Any:
    """Return the value under ``path``, or None when a step is missing or is not a mapping."""
    for key in path:
        if not isinstance(obj, Mapping):
            return None
        obj = obj.get(key)
    return obj


def mappings(value: object) -> list[Manifest]:
    """Return the mappings in a list; anything else in a malformed object is left out."""
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list | tuple) else []


def text(value: object) -> str:
    """Return a string as it is and anything else as the empty string."""
    return value if isinstance(value, str) else ""


def whole(value: object) -> int:
    """Return a whole number, also one written as text (labels are), and 0 for anything else."""
    if isinstance(value, bool):
        return 0
    if isinstance(value, int):
        return value
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else 0


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition of a live object; ``status`` is True, False or Unknown."""

    type: str
    status: str = "Unknown"
    reason: str = ""
    message: str = ""


def conditions_of(obj: Manifest) -> dict[str, Condition]:
    """Return the conditions of a live object by their type."""
    return {
        text(c.get("type")): Condition(
            text(c.get("type")), text(c.get("status")) or "Unknown", text(c.get("reason")), text(c.get("message"))
        )
        for c in mappings(dig(obj, "status", "conditions"))
    }


@dataclass(frozen=True, slots=True)
class Revision:
    """One Revision: its name, its place in the history (``order``), the template's hash, and whether it is Ready."""

    name: str
    order: int
    template_hash: str | None
    ready: bool
    conditions: Mapping[str, Condition]

    @classmethod
    def of(cls, obj: Manifest) -> Revision:
        """Read a live Revision."""
        conditions = conditions_of(obj)
        ready = conditions.get("Ready", Condition("Ready"))
        return cls(
            name=text(dig(obj, "metadata", "name")),
            order=whole((dig(obj, "metadata", "labels") or {}).get(GENERATION_LABEL)),
            template_hash=(dig(obj, "metadata", "annotations") or {}).get(ANNOTATION_TEMPLATE_HASH),
            ready=ready.status == "True",
            conditions=conditions,
        )


class History:
    """The Revisions of one Knative Service that exist, oldest first. One that is being deleted does not count."""

    def __init__(self, revisions: Iterable[Manifest]) -> None:
        found = (Revision.of(r) for r in revisions if not dig(r, "metadata", "deletionTimestamp"))
        self.all: tuple[Revision, ...] = tuple(sorted((r for r in found if r.name), key=lambda r: (r.order, r.name)))
        self._by_name = {r.name: r for r in self.all}

    @property
    def newest(self) -> Revision | None:
        """The Revision made last."""
        return self.all[-1] if self.all else None

    def get(self, name: str | None) -> Revision | None:
        """Return the Revision of that name, or None when it does not exist (any more)."""
        return self._by_name.get(name) if name else None


@dataclass(frozen=True, slots=True)
class Service:
    """A live Knative Service, as far as rollouts care."""

    generation: int
    observed_generation: int
    template_hash: str | None
    latest_created: str
    latest_ready: str
    targets: tuple[Manifest, ...]  # spec.traffic: what was asked for
    traffic: tuple[Manifest, ...]  # status.traffic: what the route does
    conditions: Mapping[str, Condition]
    annotations: Mapping[str, str]

    @classmethod
    def of(cls, obj: Manifest) -> Service:
        """Read a live Knative Service."""
        return cls(
            generation=whole(dig(obj, "metadata", "generation")),
            observed_generation=whole(dig(obj, "status", "observedGeneration")),
            template_hash=(dig(obj, "spec", "template", "metadata", "annotations") or {}).get(ANNOTATION_TEMPLATE_HASH),
            latest_created=text(dig(obj, "status", "latestCreatedRevisionName")),
            latest_ready=text(dig(obj, "status", "latestReadyRevisionName")),
            targets=tuple(mappings(dig(obj, "spec", "traffic"))),
            traffic=tuple(mappings(dig(obj, "status", "traffic"))),
            conditions=conditions_of(obj),
            annotations=dig(obj, "metadata", "annotations") or {},
        )

    @property
    def template_observed(self) -> bool:
        """Whether Knative has made the Revision of the template as it is now."""
        return self.observed_generation == self.generation and not self._out_of_date("ConfigurationsReady")

    @property
    def observed(self) -> bool:
        """Whether Knative has seen the spec as it is now, down to the Configuration and the Route."""
        return self.template_observed and not self._out_of_date("RoutesReady")

    def _out_of_date(self, condition: str) -> bool:
        return condition in self.conditions and self.conditions[condition].reason == "OutOfDate"

    @property
    def all_to_latest(self) -> bool:
        """Whether the spec sends everything to the latest ready Revision (no traffic block means that too)."""
        return not self.targets or sum(whole(t.get("percent")) for t in self.targets if is_latest(t)) == 100

    def share(self, revision: str) -> int:
        """Return the percent that the route sends to a Revision, over all entries."""
        return sum(whole(t.get("percent")) for t in self.traffic if t.get("revisionName") == revision)


def is_latest(target: Manifest) -> bool:
    """Whether a traffic target of a spec follows the latest ready Revision: Knative's rule is the absence of a name."""
    return not target.get("revisionName")


def prev_target(targets: Sequence[Manifest]) -> str | None:
    """Return the Revision that a traffic block names under the tag ``prev``, KServe's tag for the stable side."""
    return next((text(t["revisionName"]) for t in targets if t.get("tag") == "prev" and t.get("revisionName")), None)
