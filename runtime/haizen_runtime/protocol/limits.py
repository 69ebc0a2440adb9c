"""What one request may hold at most. The doors have it from the settings and hand it to the decoders. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

JSON_DEPTHS: Final = (4, 254)
"""An infer request has 4 levels. orjson reads 1024 and writes 254, as it does with the data of a CloudEvent."""
TENSOR_DIMENSIONS: Final = (1, 32)
"""numpy 1 ends at 32, numpy 2 at 64."""
EVENT_ATTRIBUTES: Final = (4, 2**62)
"""Every CloudEvent has 4."""


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """Numbers above which a request is refused with InvalidInput, but for the last."""

    json_depth: int = 100
    """Levels of objects and lists in a JSON body; 100 is what Triton allows."""
    tensor_dimensions: int = 32
    """Dimensions of an input; more than any model has."""
    event_attributes: int = 64
    """Attributes of a CloudEvent, each of which may come back in an answer's headers; more than any producer sets."""
    request_id_bytes: int = 200
    """Longer request ids do not come back and are not logged."""


DEFAULT_LIMITS: Final = RequestLimits()
