"""Who set what in a child, from its managedFields; the shapes that a real API server gives are in test_hand_edits."""

from typing import Any

import pytest

from haizen_operator.foreign_edits import ForeignEdits, foreign_edits, is_applied_by, restoring_operations

Manifest = dict[str, Any]
ENV = 'k:{"name":"B"}'
LINKS = ("template", "spec", "enableServiceLinks")


def entry(manager: str, fields: Manifest, operation: str = "Update", **more: str) -> Manifest:
    return {"manager": manager, "operation": operation, "fieldsV1": {"f:spec": fields}, **more}


def live_of(spec: Manifest, *entries: Manifest) -> Manifest:
    return {"metadata": {"resourceVersion": "7", "managedFields": list(entries)}, "spec": spec}


def wanted_of(spec: Manifest) -> Manifest:
    return {"metadata": {"labels": {"a": "b"}}, "spec": spec}


@pytest.mark.parametrize(
    ("live", "entries", "wanted", "added", "replaced"),
    [
        pytest.param({"a": 1}, [entry("x", {"f:a": {}})], {}, ["spec.a"], [], id="a field more"),
        pytest.param({"a": 1}, [entry("x", {"f:a": {}}, "Apply")], {}, ["spec.a"], [], id="by another apply"),
        pytest.param({"a": 1}, [], {}, [], [], id="what nobody owns is a default"),
        pytest.param({"a": 1}, [entry("us", {"f:a": {}}, "Apply")], {}, [], [], id="an apply of ours removes it"),
        pytest.param({"a": 1}, [entry("us", {"f:a": {}})], {}, ["spec.a"], [], id="no apply removes our own patch's"),
        pytest.param({"a": 1}, [entry("x", {"f:a": {}})], {"a": 2}, [], [], id="a value is for the comparison"),
        pytest.param({}, [entry("x", {"f:a": {}})], {}, [], [], id="owned but not there"),
        pytest.param({"a": 1}, [entry("x", {"f:a": {}}, subresource="status")], {}, [], [], id="the status"),
        pytest.param(
            {"m": {"a": 1, "b": 2}},
            [entry("x", {"f:m": {".": {}, "f:b": {}}})],
            {"m": {"a": 1}},
            ["spec.m.b"],
            [],
            id="a key more in a map",
        ),
        pytest.param(
            {"m": {"a": 1, "b": 2}},
            [entry("x", {"f:m": {}}), entry("us", {"f:m": {"f:a": {}}}, "Apply")],
            {"m": {"a": 1}},
            [],
            [],
            id="the existence of a map in which something is ours",
        ),
        pytest.param(
            {"m": {"a": 1, "b": 2}}, [entry("x", {"f:m": {}})], {"m": {"a": 1}}, [], ["spec.m"], id="an atomic map"
        ),
        pytest.param({"l": [1, 2]}, [entry("x", {"f:l": {}})], {"l": [1]}, [], ["spec.l"], id="an atomic list"),
        pytest.param({"l": [1]}, [entry("x", {"f:l": {}})], {"l": [1]}, [], [], id="an atomic list that is right"),
        pytest.param(
            {"l": [1, 2]},
            [entry("x", {"f:l": {}}), entry("us", {"f:l": {}}, "Apply")],
            {"l": [1]},
            [],
            [],
            id="shared: the rest are defaults",
        ),
        pytest.param(
            {"env": [{"name": "A"}, {"name": "B"}]},
            [entry("x", {"f:env": {ENV: {".": {}, "f:name": {}}}})],
            {"env": [{"name": "A"}]},
            ["spec.env[B]"],
            [],
            id="an item more in a list merged by key",
        ),
        pytest.param(
            {"env": [{"name": "B", "value": "1", "more": "2"}]},
            [entry("x", {"f:env": {ENV: {"f:more": {}}}})],
            {"env": [{"name": "B", "value": "1"}]},
            ["spec.env[B].more"],
            [],
            id="a field more in an item of ours",
        ),
        pytest.param(
            {"set": ["a", "b"]},
            [entry("x", {"f:set": {'v:"b"': {}}})],
            {"set": ["a"]},
            ["spec.set[b]"],
            [],
            id="an item more in a set",
        ),
    ],
)
def test_what_others_set(
    live: Manifest, entries: list[Manifest], wanted: Manifest, added: list[str], replaced: list[str]
) -> None:
    found = foreign_edits(live_of(live, *entries), wanted_of(wanted), manager="us")
    assert [it.split(" (set by ")[0] for it in found.added] == added
    assert [it.split(" (set by ")[0] for it in found.replaced] == replaced


def test_who_set_it_is_named() -> None:
    found = foreign_edits(live_of({"a": 1}, entry("kubectl-edit", {"f:a": {}})), wanted_of({}), manager="us")
    assert found == ForeignEdits(added=("spec.a (set by kubectl-edit)",))


@pytest.mark.parametrize(
    ("now", "given", "edits", "after"),
    [
        pytest.param(True, False, 1, {"enableServiceLinks": False}, id="changed: back to what it was given"),
        pytest.param(False, False, 0, {"enableServiceLinks": False}, id="as it was given"),
        pytest.param(True, None, 1, {}, id="it was given none"),
    ],
)
def test_what_the_cluster_gives_only_once(now: bool, given: bool | None, edits: int, after: Manifest) -> None:
    fields = {"f:template": {"f:spec": {"f:enableServiceLinks": {}}}}
    live = live_of({"template": {"spec": {"enableServiceLinks": now}}}, entry("x", fields))
    child = wanted_of({"template": {"spec": {}}})
    assert len(foreign_edits(live, child, manager="us", given={LINKS: given}).added) == edits
    *_, spec = restoring_operations(live, child, manager="us", given={LINKS: given})
    assert spec["value"]["template"]["spec"] == after


def test_restoring_keeps_defaults_and_what_is_other_peoples() -> None:
    containers = [{"image": "i", "name": "given by the webhook"}]
    live = live_of(
        {"l": containers, "m": {"a": 1, "b": 2}, "env": [{"name": "A"}, {"name": "B"}], "default": True},
        entry("x", {"f:m": {"f:b": {}}, "f:env": {ENV: {}}}),
    )
    live["metadata"] |= {"labels": {"theirs": "1"}, "ownerReferences": [{"uid": "theirs"}]}
    child = wanted_of({"l": [{"image": "i"}], "m": {"a": 1}, "env": [{"name": "A"}]})
    child["metadata"]["ownerReferences"] = [{"uid": "ours", "controller": True}]
    guard, *changes = restoring_operations(live, child, manager="us")
    assert guard == {"op": "test", "path": "/metadata/resourceVersion", "value": "7"}
    assert {it["path"]: it["value"] for it in changes} == {
        "/metadata/labels": {"theirs": "1", "a": "b"},
        "/metadata/ownerReferences": [{"uid": "theirs"}, {"uid": "ours", "controller": True}],
        "/spec": {"l": containers, "m": {"a": 1}, "env": [{"name": "A"}], "default": True},
    }


def test_who_applies() -> None:
    assert is_applied_by(live_of({}, entry("us", {}, "Apply")), "us")
    assert not is_applied_by(live_of({}, entry("us", {})), "us")
    assert not is_applied_by(live_of({}), "us")
