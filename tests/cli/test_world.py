"""The stand-in for Knative, driven through the operator's own rollout: whole stories as rows."""

from typing import Any

import pytest

from haizen_cli.run.routing import Share
from haizen_cli.run.world import KnativeWorld

R1, R2, R3 = (f"iris-predictor-{number:05d}" for number in (1, 2, 3))


def service(template: str) -> dict[str, Any]:
    """A Knative Service as the operator makes it, reduced to what a rollout reads."""
    return {
        "metadata": {"name": "iris-predictor", "annotations": {}},
        "spec": {"template": {"metadata": {"annotations": {"haizen.dev/template-hash": template}}, "spec": {}}},
    }


Step = tuple[str, Any, Any]
EDIT, READY, FAIL = "edit", "ready", "fail"

STORIES: dict[str, tuple[list[Step], dict[str, int]]] = {
    "nothing before the first one is ready": ([(EDIT, "a", None)], {}),
    "first deployment": ([(EDIT, "a", None), (READY, R1, None)], {R1: 100}),
    "first deployment, a percent": ([(EDIT, "a", 10), (READY, R1, None)], {R1: 100}),
    "rollout, not yet ready": ([(EDIT, "a", None), (READY, R1, None), (EDIT, "b", None)], {R1: 100}),
    "rollout": ([(EDIT, "a", None), (READY, R1, None), (EDIT, "b", None), (READY, R2, None)], {R2: 100}),
    "rollout of a bad one": ([(EDIT, "a", None), (READY, R1, None), (EDIT, "b", None), (FAIL, R2, None)], {R1: 100}),
    "a bad one healed": (
        [
            (EDIT, "a", None),
            (READY, R1, None),
            (EDIT, "b", None),
            (FAIL, R2, None),
            (EDIT, "c", None),
            (READY, R3, None),
        ],
        {R3: 100},
    ),
    "canary": ([(EDIT, "a", None), (READY, R1, None), (EDIT, "b", 10), (READY, R2, None)], {R1: 90, R2: 10}),
    "canary, dark": ([(EDIT, "a", None), (READY, R1, None), (EDIT, "b", 0), (READY, R2, None)], {R1: 100}),
    "canary promoted": (
        [(EDIT, "a", None), (READY, R1, None), (EDIT, "b", 10), (READY, R2, None), (EDIT, "b", None)],
        {R2: 100},
    ),
    "rolled back": (
        [(EDIT, "a", None), (READY, R1, None), (EDIT, "b", None), (READY, R2, None), (EDIT, "b", 0)],
        {R1: 100},
    ),
    "canary after a rollback": (
        [
            (EDIT, "a", None),
            (READY, R1, None),
            (EDIT, "b", None),
            (READY, R2, None),
            (EDIT, "b", 0),
            (EDIT, "c", 20),
            (READY, R3, None),
        ],
        {R1: 80, R3: 20},
    ),
}


@pytest.mark.parametrize(("steps", "shares"), STORIES.values(), ids=STORIES)
def test_story(steps: list[Step], shares: dict[str, int]) -> None:
    world = KnativeWorld()
    desired, percent = service(""), None
    for verb, what, canary in steps:
        if verb == EDIT:
            desired, percent = service(what), canary
        else:
            world.mark(what, ready=verb == READY)
        world.roll_out(desired, percent)
    assert {share.revision: share.percent for share in world.shares() if share.percent} == shares
    # Whoever has traffic keeps a process, and looking again changes nothing.
    assert set(shares) <= world.wanted()
    before = (world.shares(), world.revisions, world.memory)
    world.roll_out(desired, percent)
    assert (world.shares(), world.revisions, world.memory) == before


def test_only_what_nothing_names_is_collected() -> None:
    world = KnativeWorld()
    for number, template in enumerate("abcd", start=1):
        world.roll_out(service(template), None)
        world.mark(f"iris-predictor-{number:05d}", ready=True)
        world.roll_out(service(template), None)
    assert world.collectable() == [R1, R2]
    assert world.memory.previous_rolledout == R3
    world.forget(R1)
    assert world.revisions == [R2, R3, "iris-predictor-00004"]
    assert world.shares() == [Share("iris-predictor-00004", 100)]
