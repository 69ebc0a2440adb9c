"""Kubernetes quantities (``100m``, ``1Gi``, ``1e3``), compared by value instead of by spelling."""

import re
from decimal import Decimal
from typing import Any

_QUANTITY = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))((?:[KMGTPE]i)|[numkMGTPE]|[eE][+-]?\d+)?", re.ASCII)
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_DECIMAL = {"n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}


def parse_quantity(value: Any) -> Decimal:
    """The value of a quantity, in its base unit (cores, bytes, pieces).

    Raises ``ValueError`` when it is not a quantity.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"not a quantity: {value!r}; write a number with an optional unit, such as 500m or 2Gi")
    match = _QUANTITY.fullmatch(str(value).strip())
    if match is None:
        raise ValueError(f"not a quantity: {value!r}; write a number with an optional unit, such as 500m or 2Gi")
    number, suffix = Decimal(match.group(1)), match.group(2)
    if suffix is None:
        return number
    if suffix in _BINARY:
        return number * (1 << _BINARY[suffix])
    if suffix in _DECIMAL:
        return number.scaleb(_DECIMAL[suffix])
    return number.scaleb(int(suffix[1:]))


def same_quantity(left: Any, right: Any) -> bool:
    """Whether two spellings mean the same quantity; false when either is none at all."""
    try:
        return parse_quantity(left) == parse_quantity(right)
    except (ValueError, ArithmeticError):
        return False
