"""What a Revision says when its pods say nothing: images that do not resolve, quotas, admission, dead deployments."""

from __future__ import annotations

from haizen_operator.diagnosis.model import Diagnosis, Rank
from haizen_operator.diagnosis.redact import redact
from haizen_operator.diagnosis.termination import confession
from haizen_operator.reasons import Reason
from haizen_operator.rollout.knative import Condition, Manifest, conditions_of, dig, text

_TELLING = ("ResourcesAvailable", "ContainerHealthy", "Ready")  # the specific ones before the summary


def examine_revision(revision: Manifest) -> Diagnosis | None:
    """Return what the conditions of a Revision tell, or None when it is Ready or says nothing."""
    conditions = conditions_of(revision)
    name = text(dig(revision, "metadata", "name"))
    for kind in _TELLING:
        condition = conditions.get(kind)
        if condition is not None and condition.status == "False" and (condition.reason or condition.message):
            return _failed(name, condition)
    ready = conditions.get("Ready")
    if ready is not None and ready.status == "Unknown" and ready.reason == "ResolvingDigests":
        return Diagnosis(Reason.DEPLOYING, "Knative is looking the image up", Rank.WAITING, revision=name)
    return None


def _failed(name: str, condition: Condition) -> Diagnosis:
    message = condition.message
    said = confession(message)
    if said is not None:
        return Diagnosis(
            said.reason,
            said.message,
            Rank.CONFESSION,
            revision=name,
            exit_code=said.exit_code,
            model_failure="ModelLoadFailed",
        )
    lower = message.lower()
    reason, rank = Reason.REVISION_FAILED, Rank.SYMPTOM
    exit_code = None
    if condition.reason.startswith("ExitCode") and condition.reason[8:].isdigit():
        reason, rank, exit_code = Reason.CONTAINER_EXITED, Rank.EXIT, int(condition.reason[8:])
    elif condition.reason == "ContainerMissing" or "unable to fetch image" in lower:
        reason, rank = Reason.IMAGE_NOT_FOUND, Rank.CAUSE
    elif condition.reason in ("ErrImagePull", "ImagePullBackOff", "InvalidImageName"):
        reason, rank = Reason.IMAGE_PULL_FAILED, Rank.CAUSE
    elif condition.reason == "Unschedulable":
        reason, rank = Reason.UNSCHEDULABLE, Rank.CAUSE
    elif condition.reason == "CreateContainerConfigError":
        reason, rank = Reason.CONTAINER_CONFIG_INVALID, Rank.CAUSE
    elif condition.reason == "OOMKilled":
        reason, rank = Reason.OUT_OF_MEMORY, Rank.CAUSE
    elif "exceeded quota" in lower:
        reason, rank = Reason.QUOTA_EXCEEDED, Rank.CAUSE
    elif "is forbidden" in lower or "denied the request" in lower or "violates podsecurity" in lower:
        reason, rank = Reason.ADMISSION_DENIED, Rank.CAUSE
    return Diagnosis(
        reason,
        redact(message) or condition.reason,
        rank,
        revision=name,
        exit_code=exit_code,
        model_failure="ModelLoadFailed" if exit_code is not None else "RuntimeUnhealthy",
    )
