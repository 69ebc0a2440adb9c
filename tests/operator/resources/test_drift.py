"""The subset check: what counts as somebody's edit and what does not."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haizen_operator.resources.drift import covers, differences


@pytest.mark.parametrize(
    ("live", "desired", "same"),
    [
        pytest.param({"a": 1, "b": 2}, {"a": 1}, True, id="a-field-more"),
        pytest.param({"a": 2}, {"a": 1}, False, id="another-value"),
        pytest.param({}, {"a": 1}, False, id="a-field-less"),
        pytest.param({}, {"a": {}, "b": [], "c": "", "d": None}, True, id="empty-is-missing"),
        pytest.param({}, {"a": False}, False, id="false-is-not-missing"),
        pytest.param({}, {"a": 0}, False, id="zero-is-not-missing"),
        pytest.param({"a": {"b": {"c": 1, "d": 1}}}, {"a": {"b": {"c": 1}}}, True, id="nested-defaults"),
        pytest.param({"limits": {"cpu": "1"}}, {"limits": {"cpu": "1000m"}}, True, id="quantity-by-value"),
        pytest.param({"limits": {"cpu": "1"}}, {"limits": {"cpu": 1}}, True, id="quantity-as-a-number"),
        pytest.param({"limits": {"cpu": "2"}}, {"limits": {"cpu": "1"}}, False, id="another-quantity"),
        pytest.param({"emptyDir": {"sizeLimit": "1024Mi"}}, {"emptyDir": {"sizeLimit": "1Gi"}}, True, id="size-limit"),
        pytest.param({"value": "1"}, {"value": "1000m"}, False, id="only-resources-are-quantities"),
        pytest.param({"value": "1"}, {"value": 1}, False, id="text-is-no-number"),
        pytest.param({"a": True}, {"a": 1}, False, id="a-boolean-is-no-number"),
        pytest.param({"args": ["a", "b"]}, {"args": ["a", "b"]}, True, id="same-arguments"),
        pytest.param({"args": ["b", "a"]}, {"args": ["a", "b"]}, False, id="order-of-arguments"),
        pytest.param({"args": ["a", "b"]}, {"args": ["a"]}, False, id="an-argument-more"),
        pytest.param(
            {"env": [{"name": "A", "value": "1"}, {"name": "X"}]},
            {"env": [{"name": "A", "value": "1"}]},
            True,
            id="a-variable-of-others",
        ),
        pytest.param(
            {"env": [{"name": "A", "value": "2"}]},
            {"env": [{"name": "A", "value": "1"}]},
            False,
            id="another-variable-value",
        ),
        pytest.param({"env": []}, {"env": [{"name": "A"}]}, False, id="a-variable-less"),
        pytest.param(
            {"env": [{"name": "B"}, {"name": "A"}]},
            {"env": [{"name": "A"}, {"name": "B"}]},
            False,
            id="order-of-variables",
        ),
        pytest.param(
            {"volumes": [{"name": "b"}, {"name": "a"}]},
            {"volumes": [{"name": "a"}, {"name": "b"}]},
            True,
            id="order-of-volumes",
        ),
        pytest.param(
            {"containers": [{"name": "a"}, {"name": "b"}]},
            {"containers": [{"name": "a"}]},
            False,
            id="a-container-more",
        ),
        pytest.param(
            {"containers": [{"name": "a", "resources": {}}]},
            {"containers": [{"name": "a"}]},
            True,
            id="defaults-in-a-container",
        ),
        pytest.param(
            {"traffic": [{"percent": 90, "latestRevision": True}]},
            {"traffic": [{"percent": 100, "latestRevision": True}]},
            False,
            id="the-split",
        ),
        pytest.param(
            {"ownerReferences": [{"uid": "x"}, {"uid": "u"}]},
            {"ownerReferences": [{"uid": "u"}]},
            True,
            id="other-owners",
        ),
        pytest.param(
            {"ownerReferences": [{"uid": "x"}]}, {"ownerReferences": [{"uid": "u"}]}, False, id="our-ownership"
        ),
        pytest.param({"a": "x"}, {"a": {"b": 1}}, False, id="another-type"),
        pytest.param({"a": "x"}, {"a": ["x"]}, False, id="no-list"),
    ],
)
def test_covers(live: dict[str, Any], desired: dict[str, Any], same: bool) -> None:
    assert covers(live, desired) is same


def test_differences_name_the_path() -> None:
    live = {"spec": {"containers": [{"name": "a", "image": "x"}], "env": [{"name": "A", "value": "1"}]}}
    desired = {"spec": {"containers": [{"name": "a", "image": "y"}], "env": [{"name": "A", "value": "2"}]}}
    assert differences(live, desired) == ["spec.containers.0.image", "spec.env.A.value"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text("ab", max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abcn"), inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(st.sampled_from("abc"), json_values, max_size=3)


@given(objects)
def test_every_object_covers_itself(value: dict[str, Any]) -> None:
    assert covers(value, value)


@given(objects, objects)
def test_more_fields_never_turn_into_drift(value: dict[str, Any], more: dict[str, Any]) -> None:
    assert covers({**{f"x{key}": item for key, item in more.items()}, **value}, value)
