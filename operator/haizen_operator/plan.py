"""What to do about one InferenceService: a pure function of the world as it was observed.

The plan says what to apply, delete and write; it never asks which event led here. The same world gives the same plan,
and a world that is as it should be gives an empty one.
"""

from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from haizen_operator import names
from haizen_operator.diagnosis import count_failing, diagnose
from haizen_operator.foreign_edits import ForeignEdits, foreign_edits, is_applied_by, restoring_operations
from haizen_operator.kinds import INFERENCE_SERVICE, KNATIVE_SERVICE, Kind
from haizen_operator.managed_fields import taken_over
from haizen_operator.observed import Observed
from haizen_operator.ownership import Owner, is_going, owner_of, owner_text
from haizen_operator.reasons import Reason
from haizen_operator.resources.drift import differences
from haizen_operator.resources.hashing import with_object_hash
from haizen_operator.rollout import Memory, Rollout, TrafficDecision, TrafficReason, plan_rollout
from haizen_operator.status import (
    Event,
    Problem,
    build_status,
    events_for,
    events_of,
    not_owned,
    service_lost_event,
    waiting_for_deletion,
)
from haizen_operator.wanted import Wanted, wanted_service

Manifest = dict[str, Any]
MANAGER = "haizen"
"""Field manager of everything but the status."""


@dataclass(frozen=True)
class JsonPatch:
    """A JSON patch of one object; a `test` among the operations guards against a change in between."""

    kind: Kind
    name: str
    namespace: str
    operations: tuple[Manifest, ...]
    why: str
    subresource: str | None = None


@dataclass(frozen=True)
class Deletion:
    """Delete exactly the object with this uid."""

    kind: Kind
    name: str
    namespace: str
    uid: str


class Again(Enum):
    """When to look at the InferenceService again, if nothing happens before."""

    NEVER = "never"
    """It is going away."""
    NOW = "now"
    """The next step waits only for this one to be written down."""
    SOON = "soon"
    """It is not Ready, and what it waits for (pods) is not watched."""
    LATER = "later"
    """It is Ready: a slow resync, in case an event was lost."""


@dataclass(frozen=True)
class Plan:
    """What to do. Everything empty means that the world is as it should be."""

    patches: tuple[JsonPatch, ...] = ()
    apply: tuple[Manifest, ...] = ()
    delete: tuple[Deletion, ...] = ()
    status: Manifest | None = None
    """The whole status to write; None when the one that is there is right."""
    action_events: tuple[Event, ...] = ()
    """Events about what is applied or deleted here."""
    events: tuple[Event, ...] = ()
    """Events that the change of status is worth."""
    again: Again = Again.LATER

    @property
    def acts(self) -> bool:
        """Whether anything but status and events is written."""
        return bool(self.patches or self.apply or self.delete)


def decide(observed: Observed, refused: Problem | None = None) -> Plan:
    """The plan for an InferenceService. `refused`: what the API server said about this very plan's apply."""
    patches = _without_foreign_finalizer(observed)
    if observed.metadata.get("deletionTimestamp"):
        return Plan(patches=patches, again=Again.NEVER)  # the garbage collector takes the children along
    wanted = wanted_service(observed)
    if wanted.stopped:
        return _stop(observed, wanted, patches)
    problem = refused or next((p for p in wanted.problems if not p.advisory), None) or _occupied(observed)
    if wanted.service is None:
        return _plan(observed, wanted, patches, problem=problem, rollout=None)
    rollout = _rollout(observed, wanted)
    if problem is not None or rollout.traffic.hold:
        return _plan(observed, wanted, patches, problem=problem, rollout=rollout)
    child = _child(rollout.traffic, wanted.service)
    edits = _foreign_edits(observed, child)
    changes = [*_changes(observed.service, child), *edits.added, *edits.replaced]
    blocked = wanted.blocked_until_enabled if changes else None
    if blocked is not None or not changes:
        return _plan(observed, wanted, patches, problem=blocked, rollout=rollout)
    restoring = _put_back(observed, child) if edits.added else None
    return _plan(
        observed,
        wanted,
        (*patches, *([restoring] if restoring else _take_over(observed))),
        rollout=rollout,
        apply=() if restoring else (_guarded(child, observed.service),),
        action_events=_action_events(observed, rollout, changes),
    )


def _plan(
    observed: Observed,
    wanted: Wanted,
    patches: tuple[JsonPatch, ...],
    *,
    rollout: Rollout | None,
    problem: Problem | None = None,
    apply: tuple[Manifest, ...] = (),
    action_events: tuple[Event, ...] = (),
) -> Plan:
    """Complete a plan with the status that follows from the world, and the events that follow from the status."""
    problems = (*([problem] if problem else []), *(p for p in wanted.problems if p.advisory))
    memory = rollout.memory if rollout else Memory.from_status(observed.status)
    status = _status(observed, wanted, memory, rollout.traffic if rollout else None, problems)
    changed = status != observed.status
    events = tuple(events_for(observed.status, status, observed.metadata["name"])) if changed else ()
    if changed and observed.status.get("observedGeneration") != status["observedGeneration"]:
        events += tuple(events_of(problems))
    return Plan(
        patches=patches,
        apply=apply,
        status=status if changed else None,
        action_events=action_events,
        events=events,
        again=_again(status, rollout, written=changed),
    )


def _again(status: Manifest, rollout: Rollout | None, *, written: bool) -> Again:
    if rollout is not None and rollout.traffic.reason is TrafficReason.REMEMBERING and written:
        return Again.NOW
    if rollout is not None and rollout.traffic.hold:
        return Again.SOON
    ready = any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions", []))
    return Again.LATER if ready else Again.SOON


def _status(
    observed: Observed,
    wanted: Wanted,
    memory: Memory,
    traffic: TrafficDecision | None,
    problems: tuple[Problem, ...],
) -> Manifest:
    ours = _is_ours(observed)
    service = observed.service if ours else None
    revisions, pods = (observed.revisions, observed.pods) if ours else ((), ())
    revision = _newest_revision(revisions)
    return build_status(
        generation=observed.metadata.get("generation", 0),
        previous=observed.status,
        now=observed.now,
        service=service,
        revisions=revisions,
        memory=memory,
        traffic=traffic,
        desired_template_hash=wanted.template_hash,
        pods=pods,
        diagnosis=diagnose(pods, revision=revision, now=observed.now),
        failed_copies=count_failing(pods, now=observed.now, revision=revision),
        problems=problems,
        deployment_mode=wanted.deployment_mode,
        serving_runtime=wanted.serving_runtime,
        cluster_serving_runtime=wanted.cluster_serving_runtime,
        stopped=wanted.stopped,
    )


def _newest_revision(revisions: tuple[Manifest, ...]) -> Manifest | None:
    def generation(revision: Manifest) -> int:
        label = (revision["metadata"].get("labels") or {}).get("serving.knative.dev/configurationGeneration", "0")
        return int(label) if str(label).isdigit() else 0

    return max(revisions, key=generation, default=None)


def _rollout(observed: Observed, wanted: Wanted) -> Rollout:
    assert wanted.service is not None
    assert wanted.template_hash is not None
    ours = _is_ours(observed)
    return plan_rollout(
        observed.status,
        observed.service if ours else None,
        observed.revisions if ours else (),
        desired_template_hash=wanted.template_hash,
        canary_percent=wanted.canary_percent,
        tag_routing=wanted.tag_routing,
    )


def _child(traffic: TrafficDecision, service: Manifest) -> Manifest:
    """The Knative Service to apply. Its hash leaves out the rollout's memory, which changes while the spec does not."""
    bare = with_object_hash(replace(traffic, annotations={}).applied_to(service))
    annotations = {**bare["metadata"]["annotations"], **traffic.annotations}
    return {**bare, "metadata": {**bare["metadata"], "annotations": annotations}}


def _changes(live: Manifest | None, child: Manifest) -> list[str]:
    """What a write would change: paths in the child; empty when none is needed."""
    if live is None:
        return ["(new)"]
    live_hash = (live["metadata"].get("annotations") or {}).get(names.ANNOTATION_DESIRED_HASH)
    lost = live_hash is None and is_applied_by(live, MANAGER)  # somebody has taken our annotations off
    if not lost and live_hash != child["metadata"]["annotations"][names.ANNOTATION_DESIRED_HASH]:
        return ["(changed)"]
    return differences(live, child)


def _foreign_edits(observed: Observed, child: Manifest) -> ForeignEdits:
    """What others have set in the spec; nothing in a service that is still to be taken over, with all that is in it."""
    live = observed.service
    if live is None or _is_to_be_taken_over(live):
        return ForeignEdits()
    return foreign_edits(live, child, manager=MANAGER, given=_given(observed))


def _put_back(observed: Observed, child: Manifest) -> JsonPatch:
    live = observed.service
    assert live is not None
    operations = restoring_operations(live, child, manager=MANAGER, given=_given(observed))
    metadata = live["metadata"]
    return JsonPatch(KNATIVE_SERVICE, metadata["name"], metadata["namespace"], operations, "put back what others set")


def _given(observed: Observed) -> dict[tuple[str, ...], Any]:
    """What Knative's webhook sets at creation only (its rule): whether pods get the addresses of all Services."""
    word = (observed.configuration.knative_defaults or {}).get("enable-service-links", "false").lower()
    return {("template", "spec", "enableServiceLinks"): None if word == "default" else word == "true"}


def _action_events(observed: Observed, rollout: Rollout, changes: list[str]) -> tuple[Event, ...]:
    name = names.predictor_service_name(observed.metadata["name"])
    if observed.service is None:
        return (service_lost_event(name),) if rollout.service_lost else ()
    theirs = [it for it in changes if not it.startswith("(")]
    if not theirs:
        return ()  # what we want changed: nobody's fault
    more = f" and {len(theirs) - 5} more" if len(theirs) > 5 else ""
    message = f"Knative Service {name} was changed by somebody else and is put back: {', '.join(theirs[:5])}{more}"
    return (Event("Normal", Reason.DRIFT_CORRECTED, message),)


def _stop(observed: Observed, wanted: Wanted, patches: tuple[JsonPatch, ...]) -> Plan:
    """serving.kserve.io/stop: the Knative Service goes, the InferenceService stays."""
    service = observed.service
    deletions: tuple[Deletion, ...] = ()
    if service is not None and _is_ours(observed) and not service["metadata"].get("deletionTimestamp"):
        metadata = service["metadata"]
        deletions = (Deletion(KNATIVE_SERVICE, metadata["name"], metadata["namespace"], metadata["uid"]),)
    status = _status(observed, wanted, Memory(), None, ())
    changed = status != observed.status
    return Plan(
        patches=patches,
        delete=deletions,
        status=status if changed else None,
        events=tuple(events_for(observed.status, status, observed.metadata["name"])) if changed else (),
        again=Again.SOON if service is not None and _is_ours(observed) else Again.LATER,
    )


def _is_ours(observed: Observed) -> bool:
    return observed.service is not None and owner_of(observed.service, observed.isvc) is not Owner.OTHER


def _occupied(observed: Observed) -> Problem | None:
    """Whether a Knative Service that we may not change has the name that ours needs."""
    if observed.service is None:
        return None
    metadata = observed.service["metadata"]
    if is_going(metadata):
        return waiting_for_deletion(metadata["name"], metadata.get("finalizers") or [])
    if _is_ours(observed):
        return None
    return not_owned("Knative Service", metadata["name"], owner_text(observed.service))


def _guarded(child: Manifest, live: Manifest | None) -> Manifest:
    """Name the object that this is for, so that another one of the same name is a conflict and never merged.

    For a live one that is its uid. For none it is a resource version that no object can have: the API server ignores
    it when it creates the object, and refuses the apply when there is one after all.
    """
    precondition = {"resourceVersion": "1"} if live is None else {"uid": live["metadata"]["uid"]}
    return {**child, "metadata": {**child["metadata"], **precondition}}


def _is_to_be_taken_over(live: Manifest) -> bool:
    known = names.ANNOTATION_DESIRED_HASH in (live["metadata"].get("annotations") or {})
    return not known and not is_applied_by(live, MANAGER)


def _take_over(observed: Observed) -> tuple[JsonPatch, ...]:
    """Make KServe's fields ours before the first apply, so that those we do not want go away."""
    live = observed.service
    if live is None or not _is_to_be_taken_over(live):
        return ()
    metadata = live["metadata"]
    entries = taken_over(metadata.get("managedFields") or [], manager=MANAGER)
    if entries is None:
        return ()
    operations = (
        {"op": "test", "path": "/metadata/resourceVersion", "value": metadata["resourceVersion"]},
        {"op": "replace", "path": "/metadata/managedFields", "value": entries},
    )
    return (JsonPatch(KNATIVE_SERVICE, metadata["name"], metadata["namespace"], operations, "taken over from KServe"),)


def _without_foreign_finalizer(observed: Observed) -> tuple[JsonPatch, ...]:
    """Strip KServe's finalizer: nobody else will, and the deletion would hang."""
    metadata = observed.metadata
    finalizers: list[str] = metadata.get("finalizers") or []
    if names.KSERVE_FINALIZER not in finalizers:
        return ()
    place = f"/metadata/finalizers/{finalizers.index(names.KSERVE_FINALIZER)}"
    operations = (
        {"op": "test", "path": place, "value": names.KSERVE_FINALIZER},
        {"op": "remove", "path": place},
    )
    return (JsonPatch(INFERENCE_SERVICE, metadata["name"], metadata["namespace"], operations, "KServe's finalizer"),)


__all__ = ["MANAGER", "Again", "Deletion", "Event", "JsonPatch", "Plan", "decide"]
