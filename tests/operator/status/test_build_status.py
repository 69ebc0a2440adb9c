"""The status a user reads, one situation a test."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from haizen_operator.diagnosis import Diagnosis, Rank
from haizen_operator.reasons import Reason
from haizen_operator.rollout import Memory, TrafficDecision, TrafficReason
from haizen_operator.status import (
    Problem,
    apply_rejected,
    build_status,
    events_for,
    events_of,
    knative_feature_missing,
    not_owned,
    not_supported_yet,
    selection_failed,
    storage_uri_not_supported,
)

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
R1, R2 = "digits-predictor-00001", "digits-predictor-00002"
SPLIT = [
    {"latestRevision": True, "percent": 10},
    {"revisionName": R1, "latestRevision": False, "percent": 90, "tag": "prev"},
]
LIVE_SPLIT = [
    {"latestRevision": True, "revisionName": R2, "percent": 10},
    {"latestRevision": False, "revisionName": R1, "percent": 90, "tag": "prev"},
]
FAILED = Diagnosis(
    Reason.MODEL_LOAD_FAILED, "corrupt", Rank.CONFESSION, "pod-x", "kserve-container", R2, 3, "ModelLoadFailed"
)


def revision(name: str, template: str, ready: str = "True") -> dict[str, Any]:
    return {
        "metadata": {
            "name": name,
            "labels": {"serving.knative.dev/configurationGeneration": str(int(name[-5:]))},
            "annotations": {"haizen.dev/template-hash": template},
        },
        "status": {"conditions": [{"type": "Ready", "status": ready}]},
    }


def service(
    ready: str = "True", configuration: str = "True", routes: str = "True", observed: int = 3, **status: Any
) -> dict[str, Any]:
    conditions = {"Ready": ready, "ConfigurationsReady": configuration, "RoutesReady": routes}
    return {
        "metadata": {"generation": 3},
        "spec": {"template": {"metadata": {"annotations": {"haizen.dev/template-hash": "B"}}}, "traffic": SPLIT},
        "status": {
            "observedGeneration": observed,
            "url": "http://digits-predictor.default.example.com",
            "address": {"url": "http://digits-predictor.default.svc.cluster.local"},
            "latestReadyRevisionName": R2,
            "latestCreatedRevisionName": R2,
            "traffic": LIVE_SPLIT,
            "conditions": [{"type": k, "status": v, "message": f"{k} says why"} for k, v in conditions.items()],
            **status,
        },
    }


FAILING_SERVICE = service(
    "False",
    "False",
    latestReadyRevisionName=R1,
    traffic=[{**LIVE_SPLIT[0], "revisionName": R1}, LIVE_SPLIT[1]],
)
FAILING = {"service": FAILING_SERVICE, "revisions": [revision(R1, "A"), revision(R2, "B", "False")]}


def build(**changes: Any) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "generation": 5,
        "previous": {},
        "now": NOW,
        "service": service(),
        "revisions": [revision(R1, "A"), revision(R2, "B")],
        "memory": Memory(R1),
        "traffic": TrafficDecision([dict(t) for t in SPLIT]),
        "desired_template_hash": "B",
        "pods": [{"metadata": {"name": "p"}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}],
        "cluster_serving_runtime": "haizen-sklearn",
    }
    return build_status(**{**facts, **changes})


def condition(status: dict[str, Any], kind: str) -> dict[str, Any]:
    return next(c for c in status["conditions"] if c["type"] == kind)


def test_a_ready_canary_in_kserves_words() -> None:
    status = build()
    assert {c["type"]: c["status"] for c in status["conditions"]} == {
        "IngressReady": "True",
        "LatestDeploymentReady": "True",
        "PredictorConfigurationReady": "True",
        "PredictorReady": "True",
        "PredictorRouteReady": "True",
        "Ready": "True",
        "RoutesReady": "True",
        "Stopped": "False",
    }
    assert status["observedGeneration"] == 5
    assert status["deploymentMode"] == "Knative"
    assert status["clusterServingRuntimeName"] == "haizen-sklearn"
    assert "servingRuntimeName" not in status
    assert status["url"] == "http://digits-predictor.default.example.com"
    assert status["address"] == {"url": "http://digits-predictor.default.svc.cluster.local"}
    assert status["components"]["predictor"] == {
        "latestCreatedRevision": R2,
        "latestReadyRevision": R2,
        "latestRolledoutRevision": R1,
        "traffic": LIVE_SPLIT,
        "url": status["url"],
        "address": status["address"],
    }
    assert status["modelStatus"] == {
        "transitionStatus": "UpToDate",
        "states": {"activeModelState": "Loaded", "targetModelState": "Loaded"},
        "copies": {"failedCopies": 0, "totalCopies": 1},
    }


def test_a_service_at_zero_is_ready_and_on_standby() -> None:
    status = build(pods=[])
    assert condition(status, "Ready")["status"] == "True"
    assert status["modelStatus"]["states"] == {"activeModelState": "Standby", "targetModelState": "Standby"}


NOT_YET = [
    ("Knative has not observed the spec", {"service": service(observed=2)}),
    ("the template is not applied", {"desired_template_hash": "C"}),
    ("the traffic is not applied", {"traffic": TrafficDecision([{"latestRevision": True, "percent": 100}])}),
    ("the decision is on hold", {"traffic": TrafficDecision(SPLIT, hold=True)}),
    ("the split waits", {"traffic": TrafficDecision(SPLIT, reason=TrafficReason.WAITING_FOR_REVISION, message="m")}),
    ("the route is not ready", {"service": service("Unknown", routes="Unknown")}),
    ("there is no service", {"service": None, "revisions": []}),
    ("the revision starts", {"revisions": [revision(R1, "A"), revision(R2, "B", "Unknown")]}),
]


@pytest.mark.parametrize("changes", [n[1] for n in NOT_YET], ids=[n[0] for n in NOT_YET])
def test_ready_is_never_said_of_what_is_not_observed(changes: dict[str, Any]) -> None:
    assert condition(build(**changes), "Ready")["status"] == "Unknown"


def test_a_failing_revision_says_why_and_who_serves() -> None:
    status = build(**FAILING, diagnosis=FAILED, failed_copies=1)
    for kind in ("Ready", "PredictorReady", "LatestDeploymentReady"):
        found = condition(status, kind)
        assert (found["status"], found["reason"]) == ("False", "ModelLoadFailed")
        assert found["message"] == f"{R2} is not ready: corrupt; {R1} serves all traffic meanwhile"
    assert condition(status, "IngressReady")["status"] == "True"
    assert status["modelStatus"] == {
        "transitionStatus": "BlockedByFailedLoad",
        "states": {"activeModelState": "Loaded", "targetModelState": "FailedToLoad"},
        "copies": {"failedCopies": 1, "totalCopies": 1},
        "lastFailureInfo": {
            "location": "pod-x",
            "reason": "ModelLoadFailed",
            "message": "corrupt",
            "modelRevisionName": R2,
            "exitCode": 3,
            "time": "2026-05-01T12:00:00Z",
        },
    }


def test_knatives_own_words_when_pods_say_nothing() -> None:
    found = condition(build(**FAILING), "Ready")
    assert found["reason"] == "RevisionFailed"
    assert "ConfigurationsReady says why" in found["message"]


def test_the_same_world_gives_the_same_bytes_later() -> None:
    first = build(**FAILING, diagnosis=FAILED)
    assert build(**FAILING, diagnosis=FAILED, previous=first, now=NOW + timedelta(hours=1)) == first


def test_transition_times_change_only_with_the_status() -> None:
    first = build(service=service(observed=2))
    later = build(previous=first, now=NOW + timedelta(minutes=1))
    assert condition(later, "Ready")["lastTransitionTime"] == "2026-05-01T12:01:00Z"
    assert condition(later, "Stopped")["lastTransitionTime"] == "2026-05-01T12:00:00Z"


PROBLEMS = [
    (not_supported_yet("spec.transformer"), "NotSupportedYet", "spec.transformer is not supported by haizen yet"),
    (not_owned("Service", "digits-predictor", "Deployment x"), "NotOwned", "is controlled by Deployment x"),
    (
        knative_feature_missing(["kubernetes.podspec-tolerations", "kubernetes.podspec-nodeselector"]),
        "KnativeFeatureMissing",
        "kubernetes.podspec-nodeselector, kubernetes.podspec-tolerations",
    ),
    (storage_uri_not_supported("ftp://x", ["s3://", "gs://"]), "StorageUriNotSupported", "StorageUri [ftp://x]"),
    (
        selection_failed("RuntimeNotRecognized", "Waiting for runtime to become available"),
        "RuntimeNotRecognized",
        "Waiting for runtime to become available",
    ),
    (apply_rejected("Service", "x", "admission webhook denied: bad"), "ApplyRejected", "admission webhook denied: bad"),
]


@pytest.mark.parametrize(("problem", "reason", "words"), PROBLEMS, ids=[p[1] for p in PROBLEMS])
def test_a_problem_is_named_and_traffic_goes_on(problem: Problem, reason: str, words: str) -> None:
    status = build(problems=[problem], traffic=None, desired_template_hash=None)
    found = condition(status, "Ready")
    assert (found["status"], found["reason"]) == ("False", reason)
    assert words in found["message"]
    assert f"{R1} (90 %) and {R2} (10 %) serve meanwhile" in found["message"]
    assert status["components"]["predictor"]["latestRolledoutRevision"] == R1


def test_a_runtime_that_cannot_be_chosen_is_an_invalid_spec_in_the_model_status() -> None:
    problem = selection_failed("NoSupportingRuntime", "No runtime found to support specified framework/version")
    model = build(problems=[problem], service=None, revisions=[])["modelStatus"]
    assert model["transitionStatus"] == "InvalidSpec"
    assert model["lastFailureInfo"]["reason"] == "NoSupportingRuntime"
    assert model["states"] == {"targetModelState": "FailedToLoad"}


def test_a_stopped_service_says_so() -> None:
    status = build(stopped=True, service=None, revisions=[])
    assert condition(status, "Stopped")["status"] == "True"
    assert (condition(status, "Ready")["status"], condition(status, "Ready")["reason"]) == ("False", "Stopped")
    assert "components" not in status
    assert "url" not in status
    assert condition(build(stopped=True), "Stopped")["status"] == "False"


def test_nothing_to_roll_back_to_is_a_condition_and_leaves_ready_alone() -> None:
    traffic = TrafficDecision(SPLIT, reason=TrafficReason.NOTHING_TO_ROLL_BACK_TO, message="no earlier revision")
    status = build(traffic=traffic)
    found = condition(status, "CanaryTrafficReady")
    assert (found["status"], found["reason"]) == ("False", "NothingToRollBackTo")
    assert condition(status, "Ready")["status"] == "True"
    assert [(e.type, e.reason) for e in events_for(build(), status, "digits")] == [("Warning", "NothingToRollBackTo")]


def test_events_of_a_life() -> None:
    starting, ready = build(service=service(observed=2)), build()
    failing = build(**FAILING, diagnosis=FAILED)
    promoted, back = build(memory=Memory(R2, R1)), build(memory=Memory(R1, R1))
    assert [e.reason for e in events_for({}, ready, "digits")] == ["InferenceServiceReady", "RevisionRolledOut"]
    assert [e.message for e in events_for(starting, ready, "digits")] == ["InferenceService [digits] is Ready"]
    assert [e.reason for e in events_for(ready, failing, "digits")] == ["InferenceServiceNotReady", "ModelLoadFailed"]
    assert events_for(failing, failing, "digits") == []
    assert [e.reason for e in events_for(ready, promoted, "digits")] == ["RevisionRolledOut"]
    assert [e.reason for e in events_for(promoted, back, "digits")] == ["RevisionRolledBack"]


def test_an_advisory_problem_is_an_event_only() -> None:
    advisory = Problem(Reason.FIELD_WITHOUT_EFFECT, "scaleMetricType has no effect", advisory=True)
    assert condition(build(problems=[advisory]), "Ready")["status"] == "True"
    assert [(e.type, e.reason) for e in events_of([advisory])] == [("Warning", "FieldWithoutEffect")]


def test_a_long_message_is_cut() -> None:
    assert len(condition(build(problems=[apply_rejected("Service", "x", "y" * 5000)]), "Ready")["message"]) == 1024


def test_records_of_the_planner_are_kept() -> None:
    assert build(extra={"custom": 1})["custom"] == 1
