"""Kubernetes' quantities: amounts such as 2, "500m" and "4Gi"."""

import re
from typing import Any

#: What Kubernetes' own CRDs ask of a quantity, in fewer words: it stands at many places.
_NUMBER = r"([0-9]+\.?[0-9]*|\.[0-9]+)"
QUANTITY_PATTERN = rf"^[+-]?{_NUMBER}([KMGTPE]i|[numkMGTPE]|[eE][+-]?{_NUMBER})?$"
_QUANTITY = re.compile(QUANTITY_PATTERN)


def is_quantity(value: Any) -> bool:
    """Whether a value of a manifest is a quantity: an integer, or a string such as ``500m``."""
    if isinstance(value, bool):
        return False
    return isinstance(value, int) or (isinstance(value, str) and _QUANTITY.fullmatch(value) is not None)
