"""What one pod says: first the pod as a whole, then its containers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from haizen_operator.diagnosis.containers import SLOW_START, examine, parse_time
from haizen_operator.diagnosis.model import Diagnosis, Rank
from haizen_operator.diagnosis.redact import redact
from haizen_operator.diagnosis.scheduling import unschedulable
from haizen_operator.names import LABEL_KNATIVE_REVISION
from haizen_operator.reasons import Reason
from haizen_operator.rollout.knative import Manifest, conditions_of, dig, mappings, text


def findings(pod: Manifest, now: datetime) -> Iterator[Diagnosis]:
    """Yield everything a pod tells about why it is not Ready. A Ready pod, or one on its way out, tells nothing."""
    if dig(pod, "metadata", "deletionTimestamp"):
        return
    ready = conditions_of(pod).get("Ready")
    if ready is not None and ready.status == "True":
        return
    revision = text((dig(pod, "metadata", "labels") or {}).get(LABEL_KNATIVE_REVISION))
    for found in _all(pod, now):
        yield replace(found, revision=revision)


def _all(pod: Manifest, now: datetime) -> Iterator[Diagnosis]:
    name = text(dig(pod, "metadata", "name"))
    scheduled = conditions_of(pod).get("PodScheduled")
    if scheduled is not None and scheduled.status == "False":
        if scheduled.reason == "SchedulingGated":
            yield Diagnosis(Reason.DEPLOYING, "the pod waits for its scheduling gates", Rank.WAITING, pod=name)
        else:
            yield Diagnosis(Reason.UNSCHEDULABLE, unschedulable(pod, scheduled.message), Rank.CAUSE, pod=name)
        return
    if dig(pod, "status", "phase") == "Failed" and dig(pod, "status", "reason"):
        reason = text(dig(pod, "status", "reason"))
        message = redact(text(dig(pod, "status", "message")))
        kind = (
            Reason.EVICTED
            if reason in ("Evicted", "Preempting", "NodeShutdown", "Terminated")
            else Reason.ADMISSION_DENIED
        )
        yield Diagnosis(kind, f"the node ended the pod ({reason}): {message}", Rank.SYMPTOM, pod=name)
        return
    examined = [
        found
        for field, init in (("initContainerStatuses", True), ("containerStatuses", False))
        for status in mappings(dig(pod, "status", field))
        if (found := examine(pod, status, init=init, now=now)) is not None
    ]
    yield from examined
    if not examined:
        yield _not_started(pod, now)


def _not_started(pod: Manifest, now: datetime) -> Diagnosis:
    """The containers are being made: the image is pulled, volumes are mounted, the network is set up."""
    name = text(dig(pod, "metadata", "name"))
    since = parse_time(dig(pod, "status", "startTime")) or parse_time(dig(pod, "metadata", "creationTimestamp"))
    if since is None or now - since < SLOW_START:
        return Diagnosis(Reason.DEPLOYING, "the pod is being set up", Rank.WAITING, pod=name)
    waits = _waits_for(pod)
    minutes = int(SLOW_START.total_seconds() // 60)
    message = f"the pod's containers have not started for more than {minutes} minutes"
    if waits:
        message += f"; it may wait for {', '.join(waits)}"
    reason = Reason.VOLUME_MOUNT_FAILED if any(not w.startswith("image ") for w in waits) else Reason.SLOW_START
    return Diagnosis(reason, redact(message), Rank.SYMPTOM, pod=name)


def _waits_for(pod: Manifest) -> list[str]:
    """Name what kubelet needs before it starts a container and that may be missing: Secrets, ConfigMaps, claims."""
    found = set()
    for volume in mappings(dig(pod, "spec", "volumes")):
        for kind, field, key in (
            ("Secret", "secret", "secretName"),
            ("ConfigMap", "configMap", "name"),
            ("PersistentVolumeClaim", "persistentVolumeClaim", "claimName"),
        ):
            source = dig(volume, field)
            if source is not None and source.get(key) and not source.get("optional"):
                found.add(f"{kind} {source[key]}")
    images = {f"image {c['image']}" for c in mappings(dig(pod, "spec", "containers")) if c.get("image")}
    return sorted(found) or sorted(images)
