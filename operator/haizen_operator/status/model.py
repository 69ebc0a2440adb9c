"""``status.modelStatus`` in KServe's vocabulary.

KServe's rules: transitionStatus is UpToDate, InProgress, BlockedByFailedLoad or InvalidSpec; a state is Pending,
Standby, Loading, Loaded or FailedToLoad; ``activeModelState`` is the model that serves, ``targetModelState`` the one
that is wanted; ``copies.totalCopies`` counts ready pods. Where KServe says Pending once a service has scaled to zero,
this says Standby, KServe's word for a model that loads when it is used.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from haizen_operator.diagnosis.model import Diagnosis
from haizen_operator.rollout.knative import Manifest, conditions_of, dig, mappings
from haizen_operator.status.problems import Problem

REVISION_LABEL = "serving.knative.dev/revision"


def model_status(
    *,
    previous: Manifest | None,
    pods: Sequence[Manifest],
    target_revision: str | None,
    serving_revision: str | None,
    target_ready: bool,
    diagnosis: Diagnosis | None,
    problem: Problem | None,
    failed_copies: int,
    now: str,
) -> dict[str, Any]:
    """Return modelStatus.

    ``target_revision`` is the wanted revision if it exists, ``serving_revision`` the one with traffic.
    """
    ready_pods = sum(1 for pod in pods if is_ready(pod))
    at_rest = "Loaded" if ready_pods else "Standby"
    failure: dict[str, Any] | None = None
    if problem is not None and problem.model_failure:
        transition, target = "InvalidSpec", "FailedToLoad"
        failure = _failure(previous, now, reason=problem.model_failure, message=problem.message)
    elif target_ready:
        transition, target = "UpToDate", at_rest
    elif diagnosis is not None and diagnosis.failing:
        loaded = diagnosis.model_failure == "ModelLoadFailed"
        transition, target = ("BlockedByFailedLoad", "FailedToLoad") if loaded else ("InProgress", "Pending")
        failure = _failure(
            previous,
            now,
            location=diagnosis.pod,
            reason=diagnosis.model_failure,
            message=diagnosis.message,
            modelRevisionName=diagnosis.revision or target_revision or "",
            exitCode=diagnosis.exit_code,
        )
    else:
        transition, target = "InProgress", "Loading" if _started(pods, target_revision) else "Pending"
    states = {"targetModelState": target}
    if serving_revision is not None:
        states["activeModelState"] = at_rest
    status: dict[str, Any] = {
        "transitionStatus": transition,
        "states": states,
        "copies": {"failedCopies": failed_copies, "totalCopies": ready_pods},
    }
    if failure is not None:
        status["lastFailureInfo"] = failure
    return status


def is_ready(pod: Manifest) -> bool:
    """Whether a pod is Ready and not on its way out."""
    ready = conditions_of(pod).get("Ready")
    return ready is not None and ready.status == "True" and not dig(pod, "metadata", "deletionTimestamp")


def _started(pods: Sequence[Manifest], revision: str | None) -> bool:
    return any(
        dig(container, "state", "running") is not None
        for pod in pods
        if revision and (dig(pod, "metadata", "labels") or {}).get(REVISION_LABEL) == revision
        for field in ("initContainerStatuses", "containerStatuses")
        for container in mappings(dig(pod, "status", field))
    )


def _failure(previous: Manifest | None, now: str, **info: Any) -> dict[str, Any]:
    """Keep the time of a failure that is the same as before."""
    found = {key: value for key, value in info.items() if value not in (None, "")}
    before = dict(dig(previous, "modelStatus", "lastFailureInfo") or {})
    time = before.pop("time", None)
    return {**found, "time": time if time and before == found else now}
