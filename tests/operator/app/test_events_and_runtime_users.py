"""What watch events mean to the queue."""

from typing import Any

from haizen_operator import events
from haizen_operator.app import RuntimeUsers
from haizen_operator.status import Event

ISVC: dict[str, Any] = {
    "apiVersion": "serving.kserve.io/v1beta1",
    "kind": "InferenceService",
    "metadata": {"name": "iris", "namespace": "ml", "uid": "u", "generation": 1},
    "spec": {"predictor": {"model": {}}},
}


def with_metadata(**changes: Any) -> dict[str, Any]:
    return {**ISVC, "metadata": {**ISVC["metadata"], **changes}}


def test_echo_of_our_own_status_is_no_edit() -> None:
    users = RuntimeUsers()
    assert users.update(ISVC)
    entry = {"manager": "haizen-status", "operation": "Apply", "subresource": "status"}
    assert not users.update(with_metadata(resourceVersion="9", managedFields=[entry]))
    assert users.update(with_metadata(generation=2))
    assert users.update(with_metadata(generation=2, annotations={"serving.kserve.io/stop": "true"}))
    theirs = {"manager": "kubectl", "operation": "Update", "subresource": "status"}
    assert users.update(with_metadata(generation=2, managedFields=[theirs])), "somebody else wrote the status"


def test_runtime_concerns_its_users_and_those_without_one() -> None:
    users = RuntimeUsers()
    users.update(with_metadata(name="a") | {"status": {"servingRuntimeName": "mine"}})
    users.update(with_metadata(name="b") | {"status": {"clusterServingRuntimeName": "other"}})
    users.update(with_metadata(name="c"))
    users.update(with_metadata(name="d", namespace="else") | {"status": {"servingRuntimeName": "mine"}})
    users.update(with_metadata(name="e") | {"spec": {"predictor": {"model": {"runtime": "mine"}}}})
    assert users.of({"metadata": {"name": "mine", "namespace": "ml"}}) == [("ml", "a"), ("ml", "c"), ("ml", "e")]
    assert users.of({"metadata": {"name": "other"}}) == [("ml", "b"), ("ml", "c")]
    users.remove(("ml", "c"))
    assert users.of({"metadata": {"name": "other"}}) == [("ml", "b")]


def test_same_event_has_the_same_name_and_a_long_text_is_cut() -> None:
    event = Event("Warning", "Reason", "ä" * 2000)
    one = events.manifest(ISVC, event, "2026-01-02T03:04:05Z")
    assert one == events.manifest(ISVC, event, "2026-01-02T03:04:05Z")
    assert len(one["message"].encode()) <= 1024
    assert one["metadata"]["name"] != events.manifest(ISVC, event, "2026-01-02T03:04:06Z")["metadata"]["name"]
    assert one["involvedObject"]["uid"] == "u"
