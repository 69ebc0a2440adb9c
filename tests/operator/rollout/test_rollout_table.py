# ruff: noqa: E501 (a row is a line)
"""The rollout's transitions, one sentence a row."""

from __future__ import annotations

from typing import Any

import pytest

from haizen_operator.rollout import Memory, TrafficReason, decide_traffic, plan_rollout, recover, same_targets

NAMES = {n: f"digits-predictor-{n:05d}" for n in range(1, 10)}


def revision(order: int, template: str, ready: str = "True") -> dict[str, Any]:
    return {
        "metadata": {
            "name": NAMES[order],
            "labels": {"serving.knative.dev/configurationGeneration": str(order)},
            "annotations": {"haizen.dev/template-hash": template},
        },
        "status": {"conditions": [{"type": "Ready", "status": ready}]},
    }


def latest(percent: int, **more: Any) -> dict[str, Any]:
    return {"latestRevision": True, "percent": percent, **more}


def prev(order: int, percent: int) -> dict[str, Any]:
    return {"revisionName": NAMES[order], "latestRevision": False, "percent": percent, "tag": "prev"}


def service(
    template: str,
    targets: list[dict[str, Any]],
    *,
    ready: int = 0,
    created: int = 0,
    routed: dict[int, int] | None = None,
    stale: str = "",
    rolled_out: str = "",
) -> dict[str, Any]:
    """A live Service; ``ready`` and ``created`` are Knative's latest, ``stale`` a child that has not observed its spec."""
    reasons = {"ConfigurationsReady": "", "RoutesReady": ""}
    if stale in reasons:
        reasons[stale] = "OutOfDate"
    return {
        "metadata": {"generation": 7, "annotations": {"haizen.dev/rolled-out": rolled_out} if rolled_out else {}},
        "spec": {"template": {"metadata": {"annotations": {"haizen.dev/template-hash": template}}}, "traffic": targets},
        "status": {
            "observedGeneration": 6 if stale == "Service" else 7,
            "latestReadyRevisionName": NAMES.get(ready, ""),
            "latestCreatedRevisionName": NAMES.get(created or ready, ""),
            "traffic": [{"revisionName": NAMES[n], "percent": p} for n, p in (routed or {}).items()],
            "conditions": [
                {"type": kind, "status": "Unknown" if why else "True", "reason": why} for kind, why in reasons.items()
            ],
        },
    }


def status(latest_rolledout: int | None = None, previous: int | None = None) -> dict[str, Any]:
    predictor = {
        "latestRolledoutRevision": NAMES.get(latest_rolledout or 0),
        "previousRolledoutRevision": NAMES.get(previous or 0),
    }
    return {"components": {"predictor": predictor}}


def memory(latest_rolledout: int | None = None, previous: int | None = None) -> Memory:
    return Memory(NAMES.get(latest_rolledout or 0), NAMES.get(previous or 0))


A, B, C = revision(1, "A"), revision(2, "B"), revision(3, "C")
B_STARTS, C_STARTS = revision(2, "B", "Unknown"), revision(3, "C", "Unknown")
B_FAILED, C_FAILED = revision(2, "B", "False"), revision(3, "C", "False")
ALL = [latest(100)]
ALL_ON_1 = {"ready": 1, "routed": {1: 100}}

ROWS = [
    # id, status, service, revisions, wanted template, percent -> memory, targets
    ("the first deployment ignores the percent", {}, None, [], "A", 10, memory(), ALL),
    ("a revision that starts gets what comes", {}, service("A", ALL), [revision(1, "A", "Unknown")], "A", 10, memory(), ALL),
    ("the first revision that has everything is rolled out", {}, service("A", ALL, **ALL_ON_1), [A], "A", None, memory(1), ALL),
    ("a percent without an earlier revision splits one revision with itself", status(1), service("A", ALL, **ALL_ON_1),
     [A], "A", 10, memory(1), [latest(10), prev(1, 90)]),
    ("a new template with a percent splits", status(1), service("A", ALL, **ALL_ON_1), [A], "B", 10,
     memory(1), [latest(10), prev(1, 90)]),
    ("a new template with zero is dark", status(1), service("A", ALL, **ALL_ON_1), [A], "B", 0,
     memory(1), [latest(0), prev(1, 100)]),
    ("a new template without a percent follows the latest ready one", status(1), service("A", ALL, **ALL_ON_1), [A], "B",
     None, memory(1), ALL),
    ("a canary that failed leaves the split as it is, all of it on the stable one", status(1),
     service("B", [latest(10), prev(1, 90)], ready=1, created=2, routed={1: 100}), [A, B_FAILED], "B", 10,
     memory(1), [latest(10), prev(1, 90)]),
    ("a rollout that failed is never promoted", status(1), service("B", ALL, ready=1, created=2, routed={1: 100}),
     [A, B_FAILED], "B", None, memory(1), ALL),
    ("zero during a canary makes it dark", status(1), service("B", [latest(10), prev(1, 90)], ready=2, routed={2: 10, 1: 90}),
     [A, B], "B", 0, memory(1), [latest(0), prev(1, 100)]),
    ("removing the percent gives everything to the canary", status(1),
     service("B", [latest(10), prev(1, 90)], ready=2, routed={2: 10, 1: 90}), [A, B], "B", None, memory(1), ALL),
    ("a hundred gives everything to the canary", status(1),
     service("B", [latest(10), prev(1, 90)], ready=2, routed={2: 10, 1: 90}), [A, B], "B", 100, memory(1), ALL),
    ("a promotion counts once the route has carried it out", status(1), service("B", ALL, ready=2, routed={2: 100}),
     [A, B], "B", None, memory(2, 1), ALL),
    ("a promotion does not count while the Route is behind", status(1),
     service("B", ALL, ready=2, routed={2: 100}, stale="RoutesReady"), [A, B], "B", None, memory(1), ALL),
    ("a promotion does not count while the Service is behind", status(1),
     service("B", ALL, ready=2, routed={2: 100}, stale="Service"), [A, B], "B", None, memory(1), ALL),
    ("zero after a promotion rolls back in one pass", status(2, 1), service("B", ALL, ready=2, routed={2: 100}),
     [A, B], "B", 0, memory(1, 1), [latest(0), prev(1, 100)]),
    ("a percent after a promotion splits with the revision before", status(2, 1),
     service("B", ALL, ready=2, routed={2: 100}), [A, B], "B", 30, memory(1, 1), [latest(30), prev(1, 70)]),
    ("a rollback works although the promoted revision has failed since", status(2, 1),
     service("B", ALL, ready=2, routed={2: 100}), [A, B_FAILED], "B", 0, memory(1, 1), [latest(0), prev(1, 100)]),
    ("a second rollback has nowhere older to go", status(1, 1),
     service("B", [latest(0), prev(1, 100)], ready=2, routed={2: 0, 1: 100}), [A, B], "B", 0,
     memory(1, 1), [latest(0), prev(1, 100)]),
    ("what was rolled back can be promoted again", status(1, 1), service("B", ALL, ready=2, routed={2: 100}),
     [A, B], "B", None, memory(2, 1), ALL),
    ("after a rollback a new canary starts pinned, so that the bad one gets nothing (KServe #2130)", status(1, 1),
     service("B", [latest(0), prev(1, 100)], ready=2, routed={2: 0, 1: 100}), [A, B], "C", 10,
     memory(1, 1), [latest(0), prev(1, 100)]),
    ("after a rollback a rollout without percent is pinned too", status(1, 1),
     service("B", [latest(0), prev(1, 100)], ready=2, routed={2: 0, 1: 100}), [A, B], "C", None,
     memory(1, 1), [latest(0), prev(1, 100)]),
    ("the pinned canary gets its share when it is the latest ready one", status(1, 1),
     service("C", [latest(0), prev(1, 100)], ready=3, routed={3: 0, 1: 100}), [A, B, C], "C", 10,
     memory(1, 1), [latest(10), prev(1, 90)]),
    ("a canary that is replaced by a canary gets nothing any more", status(1),
     service("B", [latest(50), prev(1, 50)], ready=2, routed={2: 50, 1: 50}), [A, B], "C", 50,
     memory(1), [latest(0), prev(1, 100)]),
    ("a failed revision that may still become ready is kept out of a healing edit", status(1),
     service("A2", ALL, ready=1, created=3, routed={1: 100}), [A, B_FAILED, revision(3, "A2", "Unknown")], "A2", None,
     memory(1), [latest(0), prev(1, 100)]),
    ("a revision that Knative has yet to make counts as a stranger", status(1), service("B", ALL, **ALL_ON_1), [A], "C", 10,
     memory(1), [latest(0), prev(1, 100)]),
    ("editing back to an earlier template is a rollout, not a rollback", status(2, 1),
     service("B", ALL, ready=2, routed={2: 100}), [A, B], "A", 10, memory(2, 1), [latest(10), prev(2, 90)]),
    ("a template edited there and back within a moment is no rollback", status(2, 1),
     service("B", ALL, ready=2, routed={2: 100}, stale="ConfigurationsReady"), [A, B], "B", 10, memory(2, 1), ALL),
    ("a collected previous revision is not named", status(2, 1), service("B", ALL, ready=2, routed={2: 100}), [B], "B", 0,
     memory(2), [latest(0), prev(2, 100)]),
    ("a collected stable revision is not named", status(1), service("B", [latest(10), prev(1, 90)], ready=2), [B], "B", 10,
     memory(), ALL),
    ("a deleted Service comes back with everything on the current spec", status(2, 1), None, [], "B", 10, memory(), ALL),
    ("a new Service that reuses the old names is a first deployment", status(1), service("A", ALL, created=1),
     [revision(1, "A", "Unknown")], "A", 10, memory(), ALL),
    ("a split edited by hand is restored", status(1), service("B", ALL, ready=2, routed={2: 100}), [A, B], "B", 10,
     memory(1), [latest(10), prev(1, 90)]),
    ("a lost status is read back from the tag prev", {},
     service("B", [latest(10), prev(1, 90)], ready=2, routed={2: 10, 1: 90}), [A, B], "B", 10,
     memory(1), [latest(10), prev(1, 90)]),
    ("a lost status is read back from the annotation", {},
     service("B", ALL, ready=2, routed={2: 100}, rolled_out=NAMES[1]), [A, B], "B", None, memory(2, 1), ALL),
    ("a lost status keeps a rollback", {},
     service("B", [latest(0), prev(1, 100)], ready=2, routed={1: 100}, rolled_out=f"{NAMES[1]},{NAMES[1]}"), [A, B], "B",
     0, memory(1, 1), [latest(0), prev(1, 100)]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("before", "live", "revisions", "template", "percent", "after", "targets"),
    [row[1:] for row in ROWS],
    ids=[row[0] for row in ROWS],
)
def test_transition(
    before: dict[str, Any],
    live: dict[str, Any] | None,
    revisions: list[dict[str, Any]],
    template: str,
    percent: int | None,
    after: Memory,
    targets: list[dict[str, Any]],
) -> None:
    outcome = plan_rollout(before, live, revisions, desired_template_hash=template, canary_percent=percent)
    assert (outcome.memory, outcome.traffic.targets) == (after, targets)


HOLDS = [
    ("an edit right after a promotion first writes the promotion down (KServe #2097)", status(1),
     service("B", ALL, ready=1, routed={1: 100}, stale="Service"), [A, B], "C", 10, memory(2, 1)),
    ("an edit right after the first deployment first writes it down", {}, service("A", ALL, ready=1), [A], "B", 10,
     memory(1)),
    ("an edit after a rollback whose status was lost first writes the rollback down", status(2, 1),
     service("B", [latest(0), prev(1, 100)], ready=2, routed={1: 100}), [A, B], "C", 10, memory(1, 1)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("before", "live", "revisions", "template", "percent", "after"),
    [row[1:] for row in HOLDS],
    ids=[r[0] for r in HOLDS],
)
def test_memory_is_written_before_its_evidence_is_destroyed(
    before: dict[str, Any],
    live: dict[str, Any],
    revisions: list[dict[str, Any]],
    template: str,
    percent: int | None,
    after: Memory,
) -> None:
    first = plan_rollout(before, live, revisions, desired_template_hash=template, canary_percent=percent)
    assert (first.memory, first.traffic.hold, first.traffic.reason) == (after, True, TrafficReason.REMEMBERING)
    assert same_targets(first.traffic.targets, live["spec"]["traffic"])
    written = {
        "components": {
            "predictor": {
                "latestRolledoutRevision": after.latest_rolledout,
                "previousRolledoutRevision": after.previous_rolledout,
            }
        }
    }
    second = plan_rollout(written, live, revisions, desired_template_hash=template, canary_percent=percent)
    assert (second.memory, second.traffic.hold) == (after, False)
    assert all(t.get("revisionName") in (None, after.latest_rolledout) for t in second.traffic.targets)


def test_a_revision_that_never_becomes_ready_holds_up_no_healing_edit() -> None:
    live = service("B", ALL, ready=1, created=2, routed={1: 100})
    outcome = plan_rollout(status(1), live, [A, B_FAILED], desired_template_hash="C", canary_percent=None)
    assert not outcome.traffic.hold
    assert outcome.traffic.targets == [latest(0), prev(1, 100)]


def test_nothing_to_roll_back_to_is_said() -> None:
    live = service("A", ALL, **ALL_ON_1)  # type: ignore[arg-type]
    decision = decide_traffic(0, memory(1), [A], "A", live)
    assert decision.reason is TrafficReason.NOTHING_TO_ROLL_BACK_TO
    assert NAMES[1] in decision.message


def test_a_lost_service_is_told() -> None:
    assert plan_rollout(status(1), None, [], desired_template_hash="A", canary_percent=None).service_lost
    assert not plan_rollout({}, None, [], desired_template_hash="A", canary_percent=None).service_lost


def test_tag_routing_names_the_latest_side_too() -> None:
    live = service("A", ALL, **ALL_ON_1)  # type: ignore[arg-type]
    decision = decide_traffic(10, memory(1), [A], "B", live, tag_routing=True)
    assert decision.targets == [latest(10, tag="latest"), prev(1, 90)]


def test_a_promotion_alone_changes_no_annotation() -> None:
    live = service("B", ALL, ready=2, routed={2: 100}, rolled_out=NAMES[1])
    outcome = plan_rollout(status(1), live, [A, B], desired_template_hash="B", canary_percent=None)
    assert outcome.memory == memory(2, 1)
    assert outcome.traffic.annotations == {"haizen.dev/rolled-out": NAMES[1]}


def test_the_memory_travels_with_a_new_traffic_block() -> None:
    live = service("B", ALL, ready=2, routed={2: 100}, rolled_out=NAMES[1])
    outcome = plan_rollout(status(2, 1), live, [A, B], desired_template_hash="C", canary_percent=10)
    assert outcome.traffic.annotations == {"haizen.dev/rolled-out": f"{NAMES[2]},{NAMES[1]}"}
    applied = outcome.traffic.applied_to(
        {"metadata": {"name": "x", "annotations": {"a": "b"}}, "spec": {"template": {}}}
    )
    assert applied["metadata"]["annotations"] == {"a": "b", "haizen.dev/rolled-out": f"{NAMES[2]},{NAMES[1]}"}
    assert applied["spec"] == {"template": {}, "traffic": [latest(10), prev(2, 90)]}


def test_kserves_own_objects_without_hashes_are_taken_over() -> None:
    def unhashed(obj: dict[str, Any]) -> dict[str, Any]:
        return {**obj, "metadata": {k: v for k, v in obj["metadata"].items() if k != "annotations"}}

    live = service("", [latest(10), prev(1, 90)], ready=2, routed={2: 10, 1: 90})
    live["spec"]["template"] = {}
    outcome = plan_rollout(status(1), live, [unhashed(A), unhashed(B)], desired_template_hash="H", canary_percent=10)
    assert (outcome.memory, outcome.traffic.hold) == (memory(1), False)
    assert outcome.traffic.targets == [latest(0), prev(1, 100)]


def test_recover_without_a_service_remembers_nothing() -> None:
    assert recover(None, []) == Memory()


def test_a_revision_being_deleted_is_not_named() -> None:
    dying = revision(1, "A")
    dying["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    live = service("B", ALL, ready=2, routed={2: 100})
    outcome = plan_rollout(status(2, 1), live, [dying, B], desired_template_hash="B", canary_percent=0)
    assert outcome.memory == memory(2)
