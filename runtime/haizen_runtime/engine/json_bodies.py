"""KServe v1 bodies for models that take them as they are: any JSON, which no tensors could carry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from haizen_runtime.protocol.json_body import parse_object
from haizen_runtime.protocol.limits import DEFAULT_LIMITS
from haizen_runtime.protocol.messages import InferenceRequest, InferenceResponse, Tensor

if TYPE_CHECKING:
    Array = np.ndarray[Any, Any]

JSON_BODY: Final = "application/json"
"""The name under which a whole body is the only input, or the only output, as one BYTES element."""


def body_request(
    body: bytes | bytearray | memoryview, model: str, max_depth: int = DEFAULT_LIMITS.json_depth
) -> InferenceRequest:
    """A request that carries a body as it is. Raises InvalidInput when it is no JSON object."""
    parse_object(body, max_depth)
    return InferenceRequest(model, [Tensor(JSON_BODY, "BYTES", (1,), body_array(bytes(body)))])


def body_answer(response: InferenceResponse) -> bytes | None:
    """The body that a model gave, if it gave one."""
    outputs = response.outputs
    if len(outputs) != 1 or outputs[0].name != JSON_BODY:
        return None
    return bytes(outputs[0].data[0])


def body_array(body: bytes) -> Array:
    """The one element."""
    array = np.empty(1, dtype=object)
    array[0] = body
    return array
