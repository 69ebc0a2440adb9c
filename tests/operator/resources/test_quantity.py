"""Quantities by value."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haizen_operator.resources.quantity import parse_quantity, same_quantity


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", Decimal(1)),
        (2, Decimal(2)),
        (0.5, Decimal("0.5")),
        ("100m", Decimal("0.1")),
        ("1Gi", Decimal(2**30)),
        ("1G", Decimal(10**9)),
        ("1.5Ki", Decimal(1536)),
        ("1e3", Decimal(1000)),
        ("12E", Decimal(12 * 10**18)),
        ("-5", Decimal(-5)),
        (".5", Decimal("0.5")),
    ],
)
def test_value(text: str | int | float, value: Decimal) -> None:
    assert parse_quantity(text) == value


@pytest.mark.parametrize("text", ["", "Gi", "1 Gi", "1gb", "1e", True, None, [], "0x10", "١"])
def test_not_a_quantity(text: object) -> None:
    with pytest.raises(ValueError, match="not a quantity"):
        parse_quantity(text)


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [("1", 1, True), ("1000m", "1", True), ("1Gi", "1024Mi", True), ("1Gi", "1G", False), ("x", "x", False)],
)
def test_same(left: object, right: object, expected: bool) -> None:
    assert same_quantity(left, right) is expected


@given(st.integers(min_value=0, max_value=10**6))
def test_milli_is_a_thousandth(number: int) -> None:
    assert same_quantity(number, f"{number * 1000}m")
