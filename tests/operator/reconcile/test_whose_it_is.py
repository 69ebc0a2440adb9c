"""Ownership: what is ours, what is adopted, what is left alone, and what KServe leaves behind."""

from typing import Any

from haizen_operator.kinds import INFERENCE_SERVICE, KNATIVE_SERVICE
from tests.operator.reconcile.cluster_world import World, inference_service, wait_for
from tests.operator.reconcile.operator_process import OperatorProcess

FINALIZER = "inferenceservice.finalizers"
LABEL = "serving.kserve.io/inferenceservice"


def service_of_somebody(name: str, namespace: str, **metadata: Any) -> dict[str, Any]:
    template = {"metadata": {"annotations": {"old": "yes"}}, "spec": {"containers": [{"name": "x", "image": "old:1"}]}}
    return {
        "apiVersion": KNATIVE_SERVICE.api_version,
        "kind": KNATIVE_SERVICE.kind,
        "metadata": {"name": f"{name}-predictor", "namespace": namespace, **metadata},
        "spec": {"template": template},
    }


def test_foreign_service_is_left_alone(world: World, operator: OperatorProcess, namespace: str) -> None:
    made = world.create(KNATIVE_SERVICE, service_of_somebody("foreign", namespace))
    world.create(INFERENCE_SERVICE, inference_service("foreign", namespace))
    condition = world.wait_reason("foreign", namespace, "NotOwned")
    assert "foreign-predictor" in condition["message"]
    live = world.wait_service("foreign", namespace)
    assert (live["spec"], live["metadata"].get("ownerReferences")) == (made["spec"], None)
    world.delete(KNATIVE_SERVICE, "foreign-predictor", namespace)
    world.wait_ready("foreign", namespace)  # nobody tells us that it went: it is looked at again


def test_service_of_another_controller_is_left_alone(world: World, operator: OperatorProcess, namespace: str) -> None:
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "boss", "uid": "1-2-3", "controller": True}
    labelled = service_of_somebody("bossy", namespace, labels={LABEL: "bossy"}, ownerReferences=[owner])
    world.create(KNATIVE_SERVICE, labelled)
    world.create(INFERENCE_SERVICE, inference_service("bossy", namespace))
    assert "ConfigMap boss" in world.wait_reason("bossy", namespace, "NotOwned")["message"]
    assert world.wait_service("bossy", namespace)["metadata"]["ownerReferences"] == [owner]


def test_orphan_with_our_label_is_adopted(world: World, operator: OperatorProcess, namespace: str) -> None:
    orphan = world.create(KNATIVE_SERVICE, service_of_somebody("orphan", namespace, labels={LABEL: "orphan"}))
    made = world.create(INFERENCE_SERVICE, inference_service("orphan", namespace))
    world.wait_ready("orphan", namespace)
    live = world.wait_service("orphan", namespace)
    assert live["metadata"]["uid"] == orphan["metadata"]["uid"]
    assert live["metadata"]["ownerReferences"][0]["uid"] == made["metadata"]["uid"]


def test_what_kserve_wrote_and_we_do_not_want_goes(world: World, operator: OperatorProcess, namespace: str) -> None:
    """Update-style managed fields: without taking them over, a server-side apply leaves KServe's values in place."""
    stopped = inference_service("taken", namespace)
    stopped["metadata"] |= {"finalizers": [FINALIZER], "annotations": {"serving.kserve.io/stop": "true"}}
    isvc = world.create(INFERENCE_SERVICE, stopped)
    wait_for(lambda: not world.isvc("taken", namespace)["metadata"].get("finalizers"), "the finalizer is stripped")
    wait_for(lambda: world.condition("taken", namespace, "Stopped").get("status") == "True", "Stopped")
    owner = {key: isvc["metadata"].get(key) for key in ("name", "uid")} | {
        "apiVersion": isvc["apiVersion"],
        "kind": isvc["kind"],
        "controller": True,
        "blockOwnerDeletion": True,
    }
    left = service_of_somebody("taken", namespace, labels={LABEL: "taken"}, ownerReferences=[owner])
    left["metadata"]["annotations"] = {"serving.knative.dev/creator": "kserve"}
    # Nobody's at first, or the paused operator would delete it, and one that has just woken up would make its own.
    claims = {key: left["metadata"].pop(key) for key in ("labels", "ownerReferences")}
    world.create(KNATIVE_SERVICE, left, manager="manager")
    status = {"status": {"url": "http://old", "stale": "field", "components": {"predictor": {"gone": "yes"}}}}
    world.merge(INFERENCE_SERVICE, "taken", namespace, status, "status", manager="manager")
    world.merge(INFERENCE_SERVICE, "taken", namespace, {"metadata": {"annotations": {"serving.kserve.io/stop": None}}})
    world.merge(KNATIVE_SERVICE, "taken-predictor", namespace, {"metadata": claims}, manager="manager")
    found = world.wait_ready("taken", namespace)["status"]
    assert "stale" not in found
    assert "gone" not in found["components"]["predictor"]

    def clean() -> bool:
        template = world.wait_service("taken", namespace)["spec"]["template"]
        return "old" not in template["metadata"].get("annotations", {})

    wait_for(clean, lambda: str(world.service("taken", namespace)))
    live = world.wait_service("taken", namespace)
    assert live["metadata"]["annotations"]["serving.knative.dev/creator"] == "kserve", "Knative's webhook forbids it"


def test_service_with_kserves_finalizer_can_be_deleted(world: World, operator: OperatorProcess, namespace: str) -> None:
    leaving = inference_service("leaving", namespace)
    leaving["metadata"]["finalizers"] = ["somebody.else/finalizer", FINALIZER]
    world.create(INFERENCE_SERVICE, leaving)
    world.delete(INFERENCE_SERVICE, "leaving", namespace)
    wait_for(
        lambda: world.isvc("leaving", namespace)["metadata"]["finalizers"] == ["somebody.else/finalizer"],
        "KServe's finalizer is stripped and the other one is not",
    )
    world.merge(INFERENCE_SERVICE, "leaving", namespace, {"metadata": {"finalizers": None}})
    wait_for(lambda: world.get(INFERENCE_SERVICE, "leaving", namespace) is None, "it is gone")
