"""The most telling cause of many."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from haizen_operator.diagnosis.model import Diagnosis
from haizen_operator.diagnosis.pods import findings
from haizen_operator.diagnosis.revisions import examine_revision
from haizen_operator.names import LABEL_KNATIVE_REVISION
from haizen_operator.rollout.knative import Manifest, dig


def diagnose(pods: Iterable[Manifest], *, now: datetime, revision: Manifest | None = None) -> Diagnosis | None:
    """Return why a revision does not run, or what it waits for; None when nothing is known.

    ``pods`` may be those of several revisions; with ``revision`` (a live Revision) only its pods count, and its own
    conditions speak when no pod tells more. The order of ``pods`` does not matter.
    """
    found = [finding for pod in _of(pods, revision) for finding in findings(pod, now)]
    if revision is not None and (said := examine_revision(revision)) is not None:
        found.append(said)
    # The highest rank; then pods before the Revision, which only quotes one of them; then by name, for a stable answer.
    return min(found, key=lambda d: (-d.rank, not d.pod, d.pod, d.container, d.reason), default=None)


def count_failing(pods: Iterable[Manifest], *, now: datetime, revision: Manifest | None = None) -> int:
    """Return how many pods of a revision fail, for modelStatus.copies.failedCopies."""
    return sum(any(finding.failing for finding in findings(pod, now)) for pod in _of(pods, revision))


def _of(pods: Iterable[Manifest], revision: Manifest | None) -> list[Manifest]:
    name = dig(revision, "metadata", "name")
    return [p for p in pods if name is None or (dig(p, "metadata", "labels") or {}).get(LABEL_KNATIVE_REVISION) == name]
