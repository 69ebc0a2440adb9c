"""The traffic block: a pure function of the spec, the memory and the Revisions that exist."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from haizen_operator.rollout.knative import History, Manifest, Revision, Service, is_latest, whole
from haizen_operator.rollout.memory import ROLLED_OUT_ANNOTATION, Memory

PREV_TAG = "prev"
LATEST_TAG = "latest"


class TrafficReason(StrEnum):
    """Why the traffic is not simply what canaryTrafficPercent says."""

    FIRST_DEPLOYMENT = "FirstDeployment"
    REMEMBERING = "RememberingRollout"
    WAITING_FOR_KNATIVE = "WaitingForKnative"
    WAITING_FOR_REVISION = "WaitingForRevision"
    NOTHING_TO_ROLL_BACK_TO = "NothingToRollBackTo"


@dataclass(frozen=True, slots=True)
class TrafficDecision:
    """What goes into ``spec.traffic`` of the Knative Service.

    With ``hold`` nothing of the Service is written in this pass: report the status and reconcile again at once.
    ``annotations`` belong on the Service's own metadata. ``reason`` and ``message`` explain an unusual outcome.
    """

    targets: list[dict[str, Any]]
    hold: bool = False
    reason: TrafficReason | None = None
    message: str = ""
    annotations: dict[str, str] = field(default_factory=dict)

    def applied_to(self, service: Mapping[str, Any]) -> dict[str, Any]:
        """Return a copy of the wanted Knative Service with this traffic and these annotations."""
        metadata = dict(service.get("metadata") or {})
        annotations = {**(metadata.get("annotations") or {}), **self.annotations}
        if annotations:
            metadata["annotations"] = annotations
        return {**service, "metadata": metadata, "spec": {**(service.get("spec") or {}), "traffic": self.targets}}


def decide_traffic(
    canary_percent: int | None,
    memory: Memory,
    revisions: Iterable[Manifest],
    desired_template_hash: str,
    service: Manifest | None,
    *,
    stored: Memory | None = None,
    tag_routing: bool = False,
) -> TrafficDecision:
    """Decide the traffic of a Knative Service.

    ``canary_percent`` is 0..100 or None, ``memory`` comes from `advance`, ``stored`` is the memory as status has it
    (None: the same), ``service`` and ``revisions`` are live. ``tag_routing`` is KServe's annotation
    serving.kserve.io/enable-tag-routing.
    """
    wanted = 100 if canary_percent is None else canary_percent
    if service is None:
        return TrafficDecision(_targets(100, None, tag_routing), reason=_first(canary_percent), annotations={})
    live, history = Service.of(service), History(revisions)
    pending = live.template_hash != desired_template_hash
    if pending and stored is not None and stored != memory:
        return _hold(live, TrafficReason.REMEMBERING, "the status is written before the new template is applied")
    stable = history.get(memory.latest_rolledout)
    if stable is None:
        return _written(_targets(100, None, tag_routing), live, memory, pending, _first(canary_percent))

    newest = history.newest
    desired = newest if newest and not pending and newest.template_hash == desired_template_hash else None
    if wanted < 100 and desired is not None and desired.name == stable.name:
        if memory.previous_rolledout not in (None, stable.name):
            return _hold(live, TrafficReason.WAITING_FOR_KNATIVE, "Knative has not observed the template yet")
        return _written(
            _targets(wanted, stable.name, tag_routing),
            live,
            memory,
            pending,
            TrafficReason.NOTHING_TO_ROLL_BACK_TO,
            f"canaryTrafficPercent is {wanted}, but there is no revision before {stable.name} to share traffic with: "
            "none was rolled out before it, or Knative has collected it",
        )
    strangers = _strangers(live, history, stable, desired, pending=pending)
    if strangers:
        return _written(
            _targets(0, stable.name, tag_routing),
            live,
            memory,
            pending,
            TrafficReason.WAITING_FOR_REVISION,
            f"{stable.name} keeps all traffic until the new revision is ready, "
            f"so that none reaches {', '.join(strangers)}",
        )
    return _written(_targets(wanted, stable.name, tag_routing), live, memory, pending)


def same_targets(one: Sequence[Manifest], other: Sequence[Manifest]) -> bool:
    """Whether two traffic blocks of a spec say the same, Knative's defaults aside."""
    return [_plain(t) for t in one] == [_plain(t) for t in other]


def _plain(target: Manifest) -> tuple[str, int, str]:
    name = "" if is_latest(target) else str(target.get("revisionName"))
    return name, whole(target.get("percent")), str(target.get("tag") or "")


def _first(canary_percent: int | None) -> TrafficReason | None:
    return TrafficReason.FIRST_DEPLOYMENT if canary_percent is not None and canary_percent < 100 else None


def _targets(latest_percent: int, stable: str | None, tag_routing: bool) -> list[dict[str, Any]]:
    latest: dict[str, Any] = {"latestRevision": True, "percent": latest_percent}
    if tag_routing:
        latest["tag"] = LATEST_TAG
    if stable is None or latest_percent >= 100:
        return [latest]
    rest = {"revisionName": stable, "latestRevision": False, "percent": 100 - latest_percent, "tag": PREV_TAG}
    return [latest, rest]


def _strangers(
    live: Service, history: History, stable: Revision, desired: Revision | None, *, pending: bool
) -> list[str]:
    """Return the revisions, neither stable nor wanted, that ``latestRevision: true`` stands for or may come to."""
    latest = history.get(live.latest_ready)
    since = latest.order if latest else 0
    known = {stable.name, desired.name if desired else ""}
    found = [r.name for r in history.all if r.order >= since and r.name not in known]
    newest = history.newest
    if pending and newest is not None and newest.template_hash != live.template_hash:
        found.append("the revision of the template before")  # applied, not made by Knative yet
    return found


def _hold(live: Service, reason: TrafficReason, message: str) -> TrafficDecision:
    return TrafficDecision([dict(t) for t in live.targets], hold=True, reason=reason, message=message)


def _written(
    targets: list[dict[str, Any]],
    live: Service,
    memory: Memory,
    pending: bool,
    reason: TrafficReason | None = None,
    message: str = "",
) -> TrafficDecision:
    """Add the annotation, which changes only together with the traffic or the template: memory alone costs no write."""
    value = memory.annotation
    if not pending and same_targets(targets, live.targets):
        value = live.annotations.get(ROLLED_OUT_ANNOTATION, "")
    return TrafficDecision(
        targets, reason=reason, message=message, annotations={ROLLED_OUT_ANNOTATION: value} if value else {}
    )
