"""Events that follow from two statuses in a row: pure data, written by the shell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from haizen_operator.reasons import Reason
from haizen_operator.rollout.knative import Condition, Manifest, conditions_of
from haizen_operator.rollout.memory import Memory
from haizen_operator.status.conditions import CANARY_TRAFFIC_READY, READY
from haizen_operator.status.problems import Problem

NORMAL = "Normal"
WARNING = "Warning"


@dataclass(frozen=True, slots=True)
class Event:
    """A Kubernetes Event to record on the InferenceService; ``type`` is Normal or Warning."""

    type: str
    reason: str
    message: str


def events_for(previous: Manifest | None, new: Manifest, name: str) -> list[Event]:
    """Return the Events that the change of an InferenceService's status is worth, KServe's two first."""
    before, after = _conditions(previous), _conditions(new)
    return [
        *_readiness(before.get(READY), after.get(READY, Condition(READY)), name),
        *_rollout(Memory.from_status(previous), Memory.from_status(new)),
        *_canary(before.get(CANARY_TRAFFIC_READY), after.get(CANARY_TRAFFIC_READY)),
    ]


def events_of(problems: Sequence[Problem]) -> list[Event]:
    """Return a Warning for each advisory problem; the caller records them once for each generation of the spec."""
    return [Event(WARNING, p.reason, p.message) for p in problems if p.advisory]


def service_lost_event(service_name: str) -> Event:
    """The Knative Service was deleted by somebody else, and its revisions with it."""
    return Event(
        WARNING,
        Reason.SERVICE_RECREATED,
        f"Knative Service {service_name} was deleted and is created again with all traffic on the current spec; "
        "its earlier revisions are gone, so there is nothing to roll back to",
    )


def _conditions(status: Manifest | None) -> dict[str, Condition]:
    return conditions_of({"status": status or {}})


def _readiness(before: Condition | None, after: Condition, name: str) -> list[Event]:
    was = before.status if before else "Unknown"
    if after.status == "True" and was != "True":
        return [Event(NORMAL, Reason.INFERENCE_SERVICE_READY, f"InferenceService [{name}] is Ready")]
    events = []
    if was == "True" and after.status != "True":
        why = after.reason or after.status
        message = f"InferenceService [{name}] is no longer Ready because of: {why}"
        events.append(Event(WARNING, Reason.INFERENCE_SERVICE_NOT_READY, message))
    if after.status == "False" and after.reason != Reason.STOPPED and (before is None or before.reason != after.reason):
        events.append(Event(WARNING, after.reason, after.message))
    return events


def _rollout(before: Memory, after: Memory) -> list[Event]:
    if after.latest_rolledout is None or after.latest_rolledout == before.latest_rolledout:
        return []
    if before.latest_rolledout is not None and after.latest_rolledout == before.previous_rolledout:
        message = f"rolled back from {before.latest_rolledout} to {after.latest_rolledout}"
        return [Event(NORMAL, Reason.REVISION_ROLLED_BACK, message)]
    return [Event(NORMAL, Reason.REVISION_ROLLED_OUT, f"{after.latest_rolledout} is rolled out")]


def _canary(before: Condition | None, after: Condition | None) -> list[Event]:
    if after is None or after.status != "False" or (before is not None and before.reason == after.reason):
        return []
    return [Event(WARNING, after.reason, after.message)]
