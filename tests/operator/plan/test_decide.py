"""The plan for a world, one behaviour a row: pure, without an API server."""

import copy
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from haizen_operator.observed import Configuration, Observed
from haizen_operator.plan import Again, Plan, decide
from haizen_operator.runtimes import load_builtin_runtimes
from haizen_operator.status import apply_rejected

Manifest = dict[str, Any]
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
UID = "aaaa-bbbb"


def isvc(**changes: Any) -> Manifest:
    made = {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": "iris", "namespace": "ml", "uid": UID, "generation": 1, "resourceVersion": "7"},
        "spec": {"predictor": {"model": {"modelFormat": {"name": "sklearn"}, "storageUri": "https://x.org/m.joblib"}}},
    }
    return _merged(made, changes)


def new_world(**changes: Any) -> Observed:
    """A new InferenceService, and the built-in runtimes."""
    runtimes = tuple(load_builtin_runtimes("example.com/runtime:1"))
    return Observed(isvc=isvc(**changes), now=NOW, cluster_runtimes=runtimes)


def settled_world(**changes: Any) -> Observed:
    """A service that runs: everything applied, Knative done, the status written."""
    world = new_world(**changes)
    (child,) = decide(world).apply
    live = copy.deepcopy(child)
    live["metadata"] |= {"uid": "child", "generation": 1, "resourceVersion": "8", "managedFields": []}
    traffic = [{"latestRevision": True, "percent": 100, "revisionName": "iris-predictor-00001"}]
    live["status"] = {
        "observedGeneration": 1,
        "latestCreatedRevisionName": "iris-predictor-00001",
        "latestReadyRevisionName": "iris-predictor-00001",
        "url": "http://iris",
        "traffic": traffic,
        "conditions": [{"type": it, "status": "True"} for it in ("Ready", "ConfigurationsReady", "RoutesReady")],
    }
    template = live["spec"]["template"]
    revision = {
        "metadata": {
            "name": "iris-predictor-00001",
            "labels": {"serving.knative.dev/configurationGeneration": "1"},
            "annotations": template["metadata"]["annotations"],
        },
        "spec": template["spec"],
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    }
    world = replace(world, service=live, revisions=(revision,))
    return with_status(world, decide(world))


def with_status(world: Observed, plan: Plan) -> Observed:
    """The world after the plan's status was written."""
    if plan.status is None:
        return world
    return replace(world, isvc={**world.isvc, "status": plan.status})


def ready(status: Manifest | None) -> Manifest:
    assert status is not None
    return next(it for it in status["conditions"] if it["type"] == "Ready")


def test_new_service_is_applied_with_its_owner_unless_there_is_one() -> None:
    plan = decide(new_world())
    (child,) = plan.apply
    assert child["metadata"]["ownerReferences"][0]["uid"] == UID
    assert "uid" not in child["metadata"]
    assert child["metadata"]["resourceVersion"] == "1", "no object can have it: one that is there is a conflict"
    assert child["spec"]["traffic"] == [{"latestRevision": True, "percent": 100}]
    assert (plan.patches, plan.delete, plan.again) == ((), (), Again.SOON)


def test_same_world_gives_the_same_plan() -> None:
    assert decide(new_world()) == decide(new_world())


def test_settled_world_needs_nothing() -> None:
    world = settled_world()
    assert ready(world.status)["status"] == "True"
    assert decide(world) == Plan(again=Again.LATER)
    for now in (datetime(2027, 1, 1, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC)):
        assert decide(replace(world, now=now)) == Plan(again=Again.LATER), "time alone, or a clock put back, is nothing"


@pytest.mark.parametrize(
    "drift",
    [
        pytest.param(lambda it: it["spec"]["traffic"].append({"revisionName": "x", "percent": 0}), id="traffic"),
        pytest.param(lambda it: it["metadata"]["labels"].clear(), id="labels"),
        pytest.param(lambda it: it["spec"]["template"]["spec"]["containers"][0].update(image="evil"), id="image"),
        pytest.param(lambda it: it["metadata"].pop("ownerReferences"), id="owner"),
    ],
)
def test_drift_is_put_back_onto_the_same_object(drift: Callable[[Manifest], Any]) -> None:
    world = settled_world()
    live = copy.deepcopy(world.service)
    assert live is not None
    drift(live)
    plan = decide(replace(world, service=live))
    (child,) = plan.apply
    assert child["metadata"]["uid"] == "child"
    assert [it.reason for it in plan.action_events] == ["DriftCorrected"]


def test_field_that_somebody_added_is_taken_off_by_one_patch() -> None:
    world = settled_world()
    live = copy.deepcopy(world.service)
    assert live is not None
    live["spec"]["template"]["spec"]["containerConcurrency"] = 3
    fields = {"f:spec": {"f:template": {"f:spec": {"f:containerConcurrency": {}}}}}
    live["metadata"]["managedFields"] = [{"manager": "kubectl-edit", "operation": "Update", "fieldsV1": fields}]
    plan = decide(replace(world, service=live))
    (patch,) = plan.patches
    assert (plan.apply, patch.operations[0]["op"]) == ((), "test")
    assert "containerConcurrency" not in patch.operations[-1]["value"]["template"]["spec"]
    (event,) = plan.action_events
    assert event.reason == "DriftCorrected"
    assert "spec.template.spec.containerConcurrency (set by kubectl-edit)" in event.message


@pytest.mark.parametrize(
    "harmless",
    [
        pytest.param(lambda it: it["metadata"]["annotations"].update(note="hello"), id="an annotation of others"),
        pytest.param(lambda it: it["spec"]["template"]["spec"].update(timeoutSeconds=300), id="a default of Knative"),
        pytest.param(lambda it: it["metadata"].update(resourceVersion="99"), id="a new resource version"),
    ],
)
def test_what_others_add_is_no_drift(harmless: Callable[[Manifest], Any]) -> None:
    world = settled_world()
    live = copy.deepcopy(world.service)
    assert live is not None
    harmless(live)
    assert not decide(replace(world, service=live)).acts


def test_service_that_was_deleted_comes_back_with_a_warning() -> None:
    plan = decide(replace(settled_world(), service=None, revisions=()))
    (child,) = plan.apply
    assert child["spec"]["traffic"] == [{"latestRevision": True, "percent": 100}]
    assert [(it.type, it.reason) for it in plan.action_events] == [("Warning", "KnativeServiceRecreated")]


def test_service_on_its_way_out_is_waited_for() -> None:
    world = settled_world(metadata={"annotations": {"changed": "yes"}})
    live = copy.deepcopy(world.service)
    assert live is not None
    live["metadata"]["deletionTimestamp"] = "2026-01-02T03:04:05Z"
    live["metadata"]["annotations"]["haizen.dev/desired-hash"] = "other"
    live["metadata"]["finalizers"] = ["example.com/backup"]
    plan = decide(replace(world, service=live))
    assert not plan.acts
    condition = ready(plan.status)
    assert (condition["status"], condition["reason"]) == ("False", "WaitingForDeletion")
    assert "example.com/backup" in condition["message"]
    again = decide(with_status(replace(world, service=live), plan))
    assert (again.acts, again.status, again.again) == (False, None, Again.SOON)
    live["metadata"]["ownerReferences"][0]["uid"] = "of an InferenceService of the same name that is gone"
    assert ready(decide(replace(world, service=live)).status)["reason"] == "WaitingForDeletion"


def test_stop_deletes_this_very_service_and_then_rests() -> None:
    world = settled_world()
    stopped = replace(
        world, isvc=_merged(world.isvc, {"metadata": {"annotations": {"serving.kserve.io/stop": "true"}}})
    )
    plan = decide(stopped)
    (deletion,) = plan.delete
    assert (deletion.name, deletion.uid, plan.apply) == ("iris-predictor", "child", ())
    live = copy.deepcopy(world.service)
    assert live is not None
    live["metadata"] |= {"deletionTimestamp": "2026-01-02T03:04:05Z", "finalizers": ["example.com/backup"]}
    held = decide(replace(stopped, service=live))
    assert held.delete == ()
    assert held.status is not None
    condition = next(it for it in held.status["conditions"] if it["type"] == "Stopped")
    assert (condition["reason"], "example.com/backup" in condition["message"]) == ("Stopping", True)
    gone = replace(stopped, service=None, revisions=())
    resting = with_status(gone, decide(gone))
    assert decide(resting).status is None
    assert not decide(resting).acts


def test_foreign_service_is_neither_changed_nor_deleted() -> None:
    world = settled_world()
    live = copy.deepcopy(world.service)
    assert live is not None
    live["metadata"] |= {"ownerReferences": [{"kind": "Other", "name": "o", "uid": "u", "controller": True}]}
    plan = decide(replace(world, service=live))
    assert not plan.acts
    assert ready(plan.status)["reason"] == "NotOwned"
    stopping = _merged(world.isvc, {"metadata": {"annotations": {"serving.kserve.io/stop": "true"}}})
    assert decide(replace(world, service=live, isvc=stopping)).delete == ()


def test_service_that_is_deleted_only_loses_kserves_finalizer() -> None:
    leaving = {"finalizers": ["a/b", "inferenceservice.finalizers"], "deletionTimestamp": "2026-01-02T03:04:05Z"}
    plan = decide(new_world(metadata=leaving))
    (patch,) = plan.patches
    assert [it["op"] for it in patch.operations] == ["test", "remove"]
    assert patch.operations[1]["path"] == "/metadata/finalizers/1"
    assert (plan.apply, plan.status, plan.again) == ((), None, Again.NEVER)


def test_kserves_service_is_taken_over_once() -> None:
    world = settled_world()
    live = copy.deepcopy(world.service)
    assert live is not None
    del live["metadata"]["annotations"]["haizen.dev/desired-hash"]
    fields = {"f:spec": {"f:template": {"f:metadata": {"f:annotations": {"f:old": {}}}}}}
    live["metadata"]["managedFields"] = [{"manager": "manager", "operation": "Update", "fieldsV1": fields}]
    plan = decide(replace(world, service=live))
    (patch,) = plan.patches
    (entry,) = patch.operations[1]["value"]
    assert (entry["manager"], entry["operation"], entry["fieldsV1"]) == ("haizen", "Apply", fields)
    assert len(plan.apply) == 1


def test_mode_of_a_running_service_stays_whatever_the_annotation_says() -> None:
    world = settled_world()
    edited = _merged(world.isvc, {"metadata": {"annotations": {"serving.kserve.io/deploymentMode": "Standard"}}})
    plan = decide(replace(world, isvc=edited))
    assert not plan.acts
    assert (plan.status or world.status)["deploymentMode"] == "Knative"


@pytest.mark.parametrize(("asked", "shown"), [(None, "Knative"), ("Serverless", "Serverless"), ("Knative", "Knative")])
def test_both_vocabularies_of_the_mode_are_understood_and_echoed(asked: str | None, shown: str) -> None:
    annotations = {"serving.kserve.io/deploymentMode": asked} if asked else {}
    plan = decide(new_world(metadata={"annotations": annotations}))
    assert len(plan.apply) == 1
    assert plan.status is not None
    assert plan.status["deploymentMode"] == shown


def test_broken_configuration_is_named() -> None:
    world = replace(new_world(), configuration=Configuration(config_map={"deploy": "{not json"}))
    plan = decide(world)
    assert not plan.acts
    assert "'deploy'" in ready(plan.status)["message"]


def test_flag_that_is_missing_does_not_stop_what_runs() -> None:
    off = Configuration(knative_features={})
    world = new_world(spec={"predictor": {"nodeSelector": {"disk": "fast"}}})
    blocked = decide(replace(world, configuration=off))
    assert not blocked.acts
    assert ready(blocked.status)["reason"] == "KnativeFeatureMissing"
    running = settled_world(spec={"predictor": {"nodeSelector": {"disk": "fast"}}})
    assert decide(replace(running, configuration=off)) == Plan(again=Again.LATER)


def test_refusal_goes_into_the_status_and_nothing_is_applied() -> None:
    plan = decide(new_world(), refused=apply_rejected("Knative Service", "iris-predictor", "no"))
    assert not plan.acts
    condition = ready(plan.status)
    assert (condition["status"], condition["reason"]) == ("False", "ApplyRejected")
    assert "no" in condition["message"]


def test_problem_is_reported_once() -> None:
    world = new_world(spec={"transformer": {"containers": [{"name": "t", "image": "t"}]}})
    first = decide(world)
    assert [it.reason for it in first.events] == ["NotSupportedYet"]
    again = decide(with_status(world, first))
    assert (again.status, again.events, again.again) == (None, (), Again.SOON)


def _merged(one: Manifest, two: Manifest) -> Manifest:
    made = copy.deepcopy(one)
    for key, value in two.items():
        made[key] = _merged(made[key], value) if isinstance(value, dict) and isinstance(made.get(key), dict) else value
    return made
