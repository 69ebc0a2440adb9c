"""What is remembered between passes, and the only moves it makes: see the package's docstring for the reasons."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from haizen_operator.rollout.knative import History, Manifest, Revision, Service, dig, prev_target

ROLLED_OUT_ANNOTATION = "haizen.dev/rolled-out"
"""On the Knative Service's own metadata: ``LR`` or ``LR,PR`` as they were when its traffic block was written."""


@dataclass(frozen=True, slots=True)
class Memory:
    """KServe's latestRolledoutRevision (LR) and previousRolledoutRevision (PR); None where there is none."""

    latest_rolledout: str | None = None
    previous_rolledout: str | None = None

    @classmethod
    def from_status(cls, status: Manifest | None) -> Memory:
        """Read the predictor's memory from an InferenceService's status, KServe's or ours."""
        predictor = dig(status, "components", "predictor")
        return cls(
            dig(predictor, "latestRolledoutRevision") or None, dig(predictor, "previousRolledoutRevision") or None
        )

    @classmethod
    def from_annotation(cls, value: str | None) -> Memory:
        """Read what `annotation` wrote."""
        latest, _, previous = (value or "").partition(",")
        return cls(latest or None, previous or None)

    @property
    def annotation(self) -> str:
        """The memory as the value of `ROLLED_OUT_ANNOTATION`; empty without an LR."""
        return ",".join(name for name in (self.latest_rolledout, self.previous_rolledout) if name)


def advance(
    memory: Memory,
    service: Manifest | None,
    revisions: Iterable[Manifest],
    *,
    desired_template_hash: str,
    canary_percent: int | None,
) -> Memory:
    """Return the memory as the live world proves it.

    ``service`` is the live Knative Service, read anew and not from a cache, or None when there is none (then there are
    no revisions left either, and nothing is remembered); ``revisions`` are its live Revisions.
    """
    if service is None:
        return Memory()
    live, history = Service.of(service), History(revisions)
    pending = live.template_hash != desired_template_hash
    kept = _existing(memory, live, history)
    if kept.latest_rolledout is None:
        kept = _recovered(live, history, pending=pending)
    elif pending:
        kept = _promoted(_rolled_back_before_edit(kept, live, history), live, history, proven=True)
    elif canary_percent is None or canary_percent >= 100:
        kept = _promoted(kept, live, history, proven=_route_gives_all(live, history.newest))
    if not pending and canary_percent is not None and canary_percent < 100:
        kept = _rolled_back(kept, live, history)
    return kept


def recover(service: Manifest | None, revisions: Iterable[Manifest]) -> Memory:
    """Rebuild the memory that status lost from the live Service's traffic block, its annotation and its Revisions."""
    if service is None:
        return Memory()
    return _recovered(Service.of(service), History(revisions), pending=True)


def _existing(memory: Memory, live: Service, history: History) -> Memory:
    """Forget revisions that do not exist, and an LR that never was Ready: a new Service reuses the old names."""
    stable = history.get(memory.latest_rolledout)
    if stable is None or not _was_ready(stable, live, history):
        return Memory()
    return Memory(stable.name, memory.previous_rolledout if history.get(memory.previous_rolledout) else None)


def _was_ready(revision: Revision, live: Service, history: History) -> bool:
    """Whether a revision is Ready, or not newer than the latest ready one, which only moves forward."""
    if revision.ready or not live.latest_ready:
        return revision.ready
    latest = history.get(live.latest_ready)
    return latest is None or revision.order <= latest.order


def _recovered(live: Service, history: History, *, pending: bool) -> Memory:
    written = _existing(Memory.from_annotation(live.annotations.get(ROLLED_OUT_ANNOTATION)), live, history)
    stable = _existing(Memory(prev_target(live.targets)), live, history)
    if stable.latest_rolledout is not None:
        return written if written.latest_rolledout == stable.latest_rolledout else stable
    if not live.all_to_latest:
        return written
    latest = history.get(live.latest_ready)
    if latest is None or not (pending or _route_gives_all(live, latest)):
        return written
    if written.latest_rolledout in (None, latest.name):
        return Memory(latest.name, written.previous_rolledout)
    return Memory(latest.name, written.latest_rolledout)


def _route_gives_all(live: Service, revision: Revision | None) -> bool:
    return (
        revision is not None
        and live.observed
        and live.latest_ready == revision.name
        and live.share(revision.name) == 100
    )


def _promoted(memory: Memory, live: Service, history: History, *, proven: bool) -> Memory:
    newest = history.newest
    if newest is None or newest.name == memory.latest_rolledout:
        return memory
    if proven and live.all_to_latest and newest.ready and newest.template_hash == live.template_hash:
        return Memory(newest.name, memory.latest_rolledout)
    return memory


def _rolled_back(memory: Memory, live: Service, history: History) -> Memory:
    settled = live.template_observed and live.latest_created == memory.latest_rolledout
    if settled and _is_newest(memory, live, history) and memory.previous_rolledout:
        return Memory(memory.previous_rolledout, memory.previous_rolledout)
    return memory


def _rolled_back_before_edit(memory: Memory, live: Service, history: History) -> Memory:
    named = prev_target(live.targets)
    if named is not None and named == memory.previous_rolledout and _is_newest(memory, live, history):
        return Memory(named, named)
    return memory


def _is_newest(memory: Memory, live: Service, history: History) -> bool:
    newest = history.newest
    return newest is not None and newest.name == memory.latest_rolledout and newest.template_hash == live.template_hash
