"""One pass of a rollout: advance the memory, then decide the traffic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from haizen_operator.rollout.knative import Manifest
from haizen_operator.rollout.memory import Memory, advance
from haizen_operator.rollout.traffic import TrafficDecision, decide_traffic


@dataclass(frozen=True, slots=True)
class Rollout:
    """The outcome of one pass. ``service_lost``: status remembers a rollout whose Knative Service is gone."""

    memory: Memory
    traffic: TrafficDecision
    service_lost: bool = False


def plan_rollout(
    status: Manifest | None,
    service: Manifest | None,
    revisions: Sequence[Manifest],
    *,
    desired_template_hash: str,
    canary_percent: int | None,
    tag_routing: bool = False,
) -> Rollout:
    """Advance what ``status`` (of the InferenceService) remembers and decide the traffic of its Knative Service."""
    stored = Memory.from_status(status)
    memory = advance(
        stored, service, revisions, desired_template_hash=desired_template_hash, canary_percent=canary_percent
    )
    traffic = decide_traffic(
        canary_percent, memory, revisions, desired_template_hash, service, stored=stored, tag_routing=tag_routing
    )
    return Rollout(memory, traffic, service_lost=service is None and stored.latest_rolledout is not None)
