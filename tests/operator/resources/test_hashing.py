"""Hashes: the same for the same content, blind to themselves."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from haizen_operator.resources.hashing import (
    canonical,
    canonical_hash,
    object_hash,
    template_hash,
    with_object_hash,
    with_template_hash,
)

values = st.dictionaries(st.text("abc", min_size=1, max_size=2), st.integers() | st.lists(st.integers(), max_size=3))


@given(values, st.randoms(use_true_random=False))
def test_order_of_keys_has_no_say(value: dict[str, Any], random: Any) -> None:
    items = list(value.items())
    random.shuffle(items)
    assert canonical_hash(dict(items)) == canonical_hash(value)
    assert list(canonical(dict(items))) == sorted(value)


def test_order_of_lists_has() -> None:
    assert canonical_hash({"a": [1, 2]}) != canonical_hash({"a": [2, 1]})


def test_a_template_with_its_hash_has_the_same_hash() -> None:
    template = {"metadata": {"annotations": {"a": "1"}}, "spec": {"x": 1}}
    assert template_hash(with_template_hash(template)) == template_hash(template)
    assert with_template_hash(with_template_hash(template)) == with_template_hash(template)


def test_a_template_without_annotations_is_blind_to_its_hash_too() -> None:
    template: dict[str, Any] = {"metadata": {}, "spec": {}}
    assert template_hash(with_template_hash(template)) == template_hash(template)


def test_the_desired_hash_stays_off_the_template_and_sees_the_traffic() -> None:
    child = {"metadata": {"name": "a"}, "spec": {"template": {"metadata": {}}, "traffic": [{"percent": 100}]}}
    hashed = with_object_hash(child)
    assert hashed["spec"] == child["spec"]
    assert hashed["metadata"]["annotations"]["haizen.dev/desired-hash"] == object_hash(child)
    other = {**child, "spec": {**child["spec"], "traffic": [{"percent": 10}]}}  # type: ignore[dict-item]
    assert object_hash(other) != object_hash(child)
