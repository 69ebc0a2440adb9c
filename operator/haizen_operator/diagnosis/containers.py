"""What one container of a pod says about why the pod is not Ready."""

from __future__ import annotations

from datetime import datetime, timedelta

from haizen_operator import names
from haizen_operator.diagnosis.model import Diagnosis, Rank
from haizen_operator.diagnosis.redact import redact
from haizen_operator.diagnosis.termination import confession, exit_words, last_words
from haizen_operator.reasons import Reason
from haizen_operator.rollout.knative import Manifest, dig, mappings, text, whole

SLOW_START = timedelta(minutes=2)
"""How long a pod may start, or a container run without being ready, before that is called a failure."""

_PULL = {
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "ImageInspectError",
    "ErrImageNeverPull",
    "RegistryUnavailable",
    "SignatureValidationFailed",
}
_CANNOT_RUN = {
    "CreateContainerError",
    "RunContainerError",
    "PreCreateHookError",
    "PreStartHookError",
    "PostStartHookError",
}
_CANNOT_START = {"ContainerCannotRun", "StartError"}


def examine(pod: Manifest, status: Manifest, *, init: bool, now: datetime) -> Diagnosis | None:
    """Return what a container's status tells, or None when nothing is wrong with it."""
    waiting, terminated = dig(status, "state", "waiting"), dig(status, "state", "terminated")
    running, last = dig(status, "state", "running"), dig(status, "lastState", "terminated")
    if waiting is not None:
        return _waiting(pod, status, waiting, last, init=init)
    if terminated is not None:
        if init and whole(terminated.get("exitCode")) == 0:
            return None
        return _ended(pod, status, terminated, init=init, looping=False)
    if running is None or status.get("ready") or (init and status.get("started")):
        return None
    if last is not None and whole(status.get("restartCount")) > 0 and not _clean(last):
        return _ended(pod, status, last, init=init, looping=False)
    return _not_ready(pod, status, running, init=init, now=now)


def parse_time(value: object) -> datetime | None:
    """Read an RFC 3339 time of the Kubernetes API; None for anything else."""
    try:
        return datetime.fromisoformat(text(value))
    except ValueError:
        return None


def _waiting(
    pod: Manifest, status: Manifest, waiting: Manifest, last: Manifest | None, *, init: bool
) -> Diagnosis | None:
    reason, message = text(waiting.get("reason")), redact(text(waiting.get("message")))
    name = text(status.get("name"))
    if reason in _PULL:
        image = _image(pod, status)
        return _found(
            pod, name, Reason.IMAGE_PULL_FAILED, Rank.CAUSE, f"image {image} cannot be pulled", message or reason
        )
    if reason == "CreateContainerConfigError":
        return _found(
            pod, name, Reason.CONTAINER_CONFIG_INVALID, Rank.CAUSE, f"container {name} cannot be set up", message
        )
    if reason in _CANNOT_RUN:
        return _found(pod, name, Reason.CONTAINER_CANNOT_RUN, Rank.CAUSE, f"container {name} cannot run", message)
    if reason == "CrashLoopBackOff" and last is not None:
        return _ended(pod, status, last, init=init, looping=True)
    if reason == "CrashLoopBackOff":
        return _found(pod, name, Reason.CRASH_LOOP, Rank.EXIT, f"container {name} keeps ending", message)
    return None


def _ended(pod: Manifest, status: Manifest, end: Manifest, *, init: bool, looping: bool) -> Diagnosis:
    name, message = text(status.get("name")), text(end.get("message"))
    code = whole(end.get("exitCode")) if end.get("exitCode") is not None else None
    again = " again and again" if looping else ""
    said = confession(message)
    if said is not None:
        exit_code = said.exit_code if said.exit_code is not None else code
        what = said.message or f"container {name} {exit_words(exit_code)}"
        return _found(pod, name, said.reason, Rank.CONFESSION, what, "", exit_code, "ModelLoadFailed")
    if end.get("reason") == "OOMKilled":
        limit = _memory_limit(pod, name)
        what = f"container {name} was killed{again} because it used more memory than its limit{limit}"
        return _found(pod, name, Reason.OUT_OF_MEMORY, Rank.CAUSE, what, "", code, "ModelLoadFailed")
    if end.get("reason") in _CANNOT_START:
        what = f"container {name} cannot run"
        return _found(pod, name, Reason.CONTAINER_CANNOT_RUN, Rank.CAUSE, what, redact(message), code)
    what = f"container {name} {exit_words(code)}{again}"
    if name == names.CONTAINER_STORAGE_INITIALIZER:
        reason = Reason.MODEL_DOWNLOAD_FAILED
        what = f"the model cannot be downloaded: {what}"
    elif init:
        reason = Reason.INIT_CONTAINER_FAILED
        what = f"init {what}"
    else:
        reason = Reason.CRASH_LOOP if looping else Reason.CONTAINER_EXITED
    return _found(pod, name, reason, Rank.EXIT, what, last_words(message), code, "ModelLoadFailed")


def _not_ready(pod: Manifest, status: Manifest, running: Manifest, *, init: bool, now: datetime) -> Diagnosis | None:
    name = text(status.get("name"))
    if name == names.CONTAINER_QUEUE_PROXY and _user_container_ended(pod):
        return None
    since = parse_time(running.get("startedAt"))
    late = since is not None and now - since >= SLOW_START
    if init:
        what = (
            "the model is being downloaded"
            if name == names.CONTAINER_STORAGE_INITIALIZER
            else f"init container {name} runs"
        )
        return _found(pod, name, Reason.DEPLOYING, Rank.WAITING, what, "")
    if not late:
        return _found(pod, name, Reason.DEPLOYING, Rank.WAITING, "the model server is starting", "")
    # Knative's queue-proxy runs the user container's probe and is unready in its place.
    minutes = int(SLOW_START.total_seconds() // 60)
    what = (
        f"the model server runs for more than {minutes} minutes, but its readiness probe{_probe(pod)} does not succeed"
    )
    return _found(pod, name, Reason.READINESS_PROBE_FAILED, Rank.SYMPTOM, what, "")


def _found(
    pod: Manifest,
    container: str,
    reason: Reason,
    rank: Rank,
    what: str,
    detail: str,
    exit_code: int | None = None,
    model_failure: str = "RuntimeUnhealthy",
) -> Diagnosis:
    return Diagnosis(
        reason=reason,
        message=f"{what}: {detail}" if detail else what,
        rank=rank,
        pod=text(dig(pod, "metadata", "name")),
        container=container,
        exit_code=exit_code,
        model_failure=model_failure,
    )


def _spec(pod: Manifest, name: str) -> Manifest:
    listed = [*mappings(dig(pod, "spec", "initContainers")), *mappings(dig(pod, "spec", "containers"))]
    return next((c for c in listed if c.get("name") == name), {})


def _image(pod: Manifest, status: Manifest) -> str:
    return redact(text(_spec(pod, text(status.get("name"))).get("image")) or text(status.get("image")) or "(unnamed)")


def _memory_limit(pod: Manifest, name: str) -> str:
    limit = dig(_spec(pod, name), "resources", "limits", "memory")
    return f" ({limit})" if limit else ""


def _probe(pod: Manifest) -> str:
    for container in mappings(dig(pod, "spec", "containers")):
        get = dig(container, "readinessProbe", "httpGet")
        if get is not None and container.get("name") != names.CONTAINER_QUEUE_PROXY:
            return f" (GET {get.get('path') or '/'} on port {get.get('port')})"
    return ""


def _user_container_ended(pod: Manifest) -> bool:
    return any(
        c.get("name") != names.CONTAINER_QUEUE_PROXY and dig(c, "state", "running") is None
        for c in mappings(dig(pod, "status", "containerStatuses"))
    )


def _clean(end: Manifest) -> bool:
    return whole(end.get("exitCode")) == 0 and end.get("reason") != "OOMKilled"
