"""What the operator makes of InferenceServices on a real API server."""

import time

from haizen_operator.kinds import INFERENCE_SERVICE, KNATIVE_SERVICE
from tests.operator.reconcile.cluster_world import World, inference_service, wait_for
from tests.operator.reconcile.operator_process import OperatorProcess


def test_create_makes_an_owned_service_and_a_ready_status(
    world: World, operator: OperatorProcess, namespace: str
) -> None:
    made = world.create(INFERENCE_SERVICE, inference_service("iris", namespace))
    isvc = world.wait_ready("iris", namespace)
    service = world.wait_service("iris", namespace)
    (owner,) = service["metadata"]["ownerReferences"]
    assert (owner["uid"], owner["controller"], owner["blockOwnerDeletion"]) == (made["metadata"]["uid"], True, True)
    status = isvc["status"]
    assert status["url"] == f"http://iris-predictor.{namespace}.example.com"
    assert status["observedGeneration"] == isvc["metadata"]["generation"]
    assert status["clusterServingRuntimeName"] == "haizen-sklearn"
    assert status["components"]["predictor"]["latestRolledoutRevision"] == "iris-predictor-00001"
    assert isvc["spec"] == made["spec"], "the user's spec is never rewritten"
    assert not isvc["metadata"].get("finalizers")
    assert not isvc["metadata"].get("annotations")
    wait_for(lambda: ("Normal", "InferenceServiceReady") in world.events(namespace), "the Event")


def test_steady_state_writes_nothing(world: World, operator: OperatorProcess, namespace: str) -> None:
    world.create(INFERENCE_SERVICE, inference_service("calm", namespace))
    world.wait_ready("calm", namespace)
    last = ("Normal", "RevisionRolledOut")
    wait_for(lambda: last in world.events(namespace) and operator.is_at_rest(), lambda: str(world.events(namespace)))
    before, versions = operator.writes(), _versions(world, "calm", namespace)
    reconciles = operator.metric("haizen_operator_reconciles_total")
    # An annotation that means nothing to us is an event, a reconcile, and no write.
    world.merge(KNATIVE_SERVICE, "calm-predictor", namespace, {"metadata": {"annotations": {"note": "hello"}}})
    wait_for(lambda: operator.metric("haizen_operator_reconciles_total") >= reconciles + 1, "a reconcile")
    time.sleep(1.0)
    assert operator.writes() == before
    assert _versions(world, "calm", namespace)[0] == versions[0]


def test_drift_is_put_back_with_one_write(world: World, operator: OperatorProcess, namespace: str) -> None:
    world.create(INFERENCE_SERVICE, inference_service("drift", namespace))
    world.wait_ready("drift", namespace)
    before = operator.metric("haizen_operator_api_writes_total", 'kind="Service"')
    world.merge(
        KNATIVE_SERVICE,
        "drift-predictor",
        namespace,
        {"spec": {"traffic": [{"latestRevision": True, "percent": 60}, {"revisionName": "x", "percent": 40}]}},
    )
    wait_for(lambda: ("Normal", "DriftCorrected") in world.events(namespace), "the Event")
    service = world.wait_service("drift", namespace)
    assert service["spec"]["traffic"] == [{"latestRevision": True, "percent": 100}]
    assert operator.metric("haizen_operator_api_writes_total", 'kind="Service"') == before + 1


def test_deleted_service_comes_back(world: World, operator: OperatorProcess, namespace: str) -> None:
    world.create(INFERENCE_SERVICE, inference_service("lost", namespace))
    world.wait_ready("lost", namespace)
    first = world.wait_service("lost", namespace)["metadata"]["uid"]
    world.delete(KNATIVE_SERVICE, "lost-predictor", namespace)
    wait_for(lambda: (world.service("lost", namespace) or first_again(first))["metadata"]["uid"] != first, "it is back")
    wait_for(lambda: ("Warning", "KnativeServiceRecreated") in world.events(namespace), "the Event")
    service = world.wait_service("lost", namespace)
    assert service["spec"]["traffic"] == [{"latestRevision": True, "percent": 100}]
    world.wait_ready("lost", namespace)


def first_again(uid: str) -> dict[str, dict[str, str]]:
    return {"metadata": {"uid": uid}}


def test_edit_makes_a_revision_and_removing_a_field_reaches_the_service(
    world: World, operator: OperatorProcess, namespace: str
) -> None:
    world.create(INFERENCE_SERVICE, inference_service("edit", namespace, timeout=30, minReplicas=0))
    world.wait_ready("edit", namespace)
    world.merge(INFERENCE_SERVICE, "edit", namespace, {"spec": {"predictor": {"timeout": None}}})

    def gone() -> bool:
        return "timeoutSeconds" not in world.wait_service("edit", namespace)["spec"]["template"]["spec"]

    wait_for(gone, "the field is gone from the Knative Service")

    def rolled_out() -> bool:
        status = world.isvc("edit", namespace)["status"]
        component = status["components"]["predictor"]
        return bool(component.get("latestRolledoutRevision") == "edit-predictor-00002")

    wait_for(rolled_out, "the second revision is rolled out")


def test_canary_splits_and_promotes(world: World, operator: OperatorProcess, namespace: str) -> None:
    world.create(INFERENCE_SERVICE, inference_service("canary", namespace))
    world.wait_ready("canary", namespace)
    world.merge(
        INFERENCE_SERVICE, "canary", namespace, {"spec": {"predictor": {"canaryTrafficPercent": 10, "timeout": 20}}}
    )

    def split() -> bool:
        traffic = world.wait_service("canary", namespace)["spec"]["traffic"]
        return [t.get("percent") for t in traffic] == [10, 90] and traffic[1][
            "revisionName"
        ] == "canary-predictor-00001"

    wait_for(split, lambda: str(world.service("canary", namespace)))
    world.wait_ready("canary", namespace)
    world.merge(INFERENCE_SERVICE, "canary", namespace, {"spec": {"predictor": {"canaryTrafficPercent": None}}})

    def promoted() -> bool:
        component = world.isvc("canary", namespace)["status"]["components"]["predictor"]
        return bool(
            component.get("latestRolledoutRevision") == "canary-predictor-00002"
            and component.get("previousRolledoutRevision") == "canary-predictor-00001"
        )

    wait_for(promoted, "the canary is promoted")


def test_stop_deletes_the_service_and_starting_brings_it_back(
    world: World, operator: OperatorProcess, namespace: str
) -> None:
    world.create(INFERENCE_SERVICE, inference_service("pause", namespace))
    world.wait_ready("pause", namespace)
    stop = "serving.kserve.io/stop"
    world.merge(INFERENCE_SERVICE, "pause", namespace, {"metadata": {"annotations": {stop: "true"}}})
    wait_for(lambda: world.service("pause", namespace) is None, "the Knative Service is gone")
    wait_for(lambda: world.condition("pause", namespace, "Stopped").get("status") == "True", "Stopped")
    world.merge(INFERENCE_SERVICE, "pause", namespace, {"metadata": {"annotations": {stop: None}}})
    world.wait_ready("pause", namespace)


def test_editing_the_runtime_in_use_rolls_its_services(world: World, operator: OperatorProcess, namespace: str) -> None:
    from haizen_operator.kinds import SERVING_RUNTIME

    world.create(
        SERVING_RUNTIME,
        {
            "apiVersion": SERVING_RUNTIME.api_version,
            "kind": SERVING_RUNTIME.kind,
            "metadata": {"name": "mine", "namespace": namespace, "annotations": {"haizen.dev/downloads-model": "true"}},
            "spec": {
                "supportedModelFormats": [{"name": "sklearn", "autoSelect": True}],
                "containers": [{"name": "kserve-container", "image": "example.com/mine:1"}],
            },
        },
    )
    world.create(INFERENCE_SERVICE, inference_service("rolls", namespace))
    assert world.wait_ready("rolls", namespace)["status"]["servingRuntimeName"] == "mine"
    containers = [{"name": "kserve-container", "image": "example.com/mine:2"}]
    world.merge(SERVING_RUNTIME, "mine", namespace, {"spec": {"containers": containers}})

    def rolled() -> bool:
        container = world.wait_service("rolls", namespace)["spec"]["template"]["spec"]["containers"][0]
        return bool(container["image"] == "example.com/mine:2")

    wait_for(rolled, "the Knative Service has the new image")


def _versions(world: World, name: str, namespace: str) -> tuple[str, str]:
    isvc, service = world.isvc(name, namespace), world.wait_service(name, namespace)
    return isvc["metadata"]["resourceVersion"], service["metadata"]["resourceVersion"]
