"""Taking over the fields that another controller wrote with Update."""

from typing import Any

from haizen_operator.managed_fields import taken_over


def entry(manager: str, operation: str, fields: dict[str, Any], subresource: str = "") -> dict[str, Any]:
    made = {"manager": manager, "operation": operation, "fieldsType": "FieldsV1", "fieldsV1": fields}
    return {**made, "subresource": subresource} if subresource else made


def test_nothing_to_take_over() -> None:
    ours = entry("haizen", "Apply", {"f:spec": {}})
    assert taken_over([ours], manager="haizen") is None
    assert taken_over([ours, entry("knative", "Update", {"f:status": {}}, "status")], manager="haizen") is None


def test_updates_become_ours_by_apply() -> None:
    theirs = entry("manager", "Update", {"f:spec": {"f:template": {"f:old": {}}}})
    knative = entry("controller", "Update", {"f:status": {}}, "status")
    (kept, ours) = taken_over([theirs, knative], manager="haizen") or []
    assert kept == knative
    assert (ours["manager"], ours["operation"]) == ("haizen", "Apply")
    assert ours["fieldsV1"] == theirs["fieldsV1"]


def test_updates_join_what_is_ours_already() -> None:
    ours = entry("haizen", "Apply", {"f:spec": {"f:traffic": {}}})
    theirs = entry("manager", "Update", {"f:spec": {"f:template": {}}})
    (joined,) = taken_over([ours, theirs], manager="haizen") or []
    assert joined["fieldsV1"] == {"f:spec": {"f:traffic": {}, "f:template": {}}}


def test_fields_that_knative_forbids_to_remove_stay_nobodys() -> None:
    fields = {"f:metadata": {"f:annotations": {"f:serving.knative.dev/creator": {}, "f:mine": {}}}}
    (ours,) = taken_over([entry("manager", "Update", fields)], manager="haizen") or []
    assert ours["fieldsV1"] == {"f:metadata": {"f:annotations": {"f:mine": {}}}}
