"""The generate extension's JSON (Triton's): fields named like inputs, and answers with a field for each output. Pure.

A scalar stands for a tensor of one element, and comes back for one; other outputs are flat lists.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

from haizen_runtime.protocol.dtypes import array_from_json
from haizen_runtime.protocol.errors import InvalidInput
from haizen_runtime.protocol.limits import DEFAULT_LIMITS, RequestLimits
from haizen_runtime.protocol.messages import (
    InferenceRequest,
    InferenceResponse,
    ModelMetadata,
    Scalar,
    Tensor,
    TensorMetadata,
)
from haizen_runtime.protocol.parameters import apply_parameters
from haizen_runtime.protocol.shapes import too_many_dimensions
from haizen_runtime.protocol.v1_json import natural_datatype
from haizen_runtime.protocol.v2_json import described, json_values

RESERVED: Final = ("id", "parameters")


def request_from(
    payload: Mapping[str, Any],
    model: str,
    metadata: ModelMetadata,
    any_input: bool,
    batchable: bool,
    limits: RequestLimits = DEFAULT_LIMITS,
) -> InferenceRequest:
    """A request from the object in a body. Raises InvalidInput naming the field.

    Fields that are no inputs are parameters, as are those of the object `parameters`; with `any_input`, of a model of
    whose inputs nothing is known, each field is an input. Where the first axis is a batch, one row may come without it.
    """
    known = {} if any_input else {tensor.name: tensor for tensor in metadata.inputs}
    parameters = _parameters(payload.get("parameters"))
    inputs = []
    for name, value in payload.items():
        if name in known or (any_input and name not in RESERVED):
            datatype = None if metadata.any_datatype else known[name].datatype
            tensor = _tensor(name, value, datatype, known.get(name), batchable)
            if len(tensor.shape) > limits.tensor_dimensions:
                raise too_many_dimensions(len(tensor.shape), f'Field "{name[:80]}"', limits.tensor_dimensions)
            inputs.append(tensor)
        elif name not in RESERVED:
            _add_parameter(parameters, name, value)
    if not inputs:
        wanted = ", ".join(known) or "any name"
        raise InvalidInput(f"Expected the body to have a field for each input of the model: {wanted}.")
    request = InferenceRequest(model, inputs)
    identifier = payload.get("id")
    if identifier is not None:
        if type(identifier) is not str:
            raise InvalidInput('Expected "id" to be a string.')
        request.id = identifier
    if parameters:
        request.parameters = parameters
        apply_parameters(request, parameters)
    return request


def encode_answer(response: InferenceResponse) -> bytes:
    """An answer as one JSON object."""
    payload = described(response)
    for name, value in (payload.pop("parameters", None) or {}).items():
        payload.setdefault(name, value)  # one of the model's own may be called `id`
    for tensor in response.outputs:
        values = json_values(tensor.data.reshape(-1), tensor.datatype)
        payload[tensor.name] = values[0] if tensor.data.size == 1 else values
    return orjson.dumps(payload, option=orjson.OPT_SERIALIZE_NUMPY)


def event(data: bytes) -> bytes:
    """One server-sent event."""
    return b"data: " + data + b"\n\n"


def error_event(message: str) -> bytes:
    """The event that ends a stream which failed."""
    return event(orjson.dumps({"error": message.encode("utf-8", "replace").decode()}))


def _parameters(value: Any) -> dict[str, Scalar]:
    parameters: dict[str, Scalar] = {}
    if value is None:
        return parameters
    if type(value) is not dict:
        raise InvalidInput('Expected "parameters" to be an object.')
    for name, each in value.items():
        _add_parameter(parameters, name, each)
    return parameters


def _add_parameter(parameters: dict[str, Scalar], name: str, value: Any) -> None:
    if not isinstance(value, (str, int, float, bool)):
        raise InvalidInput(
            f'Field "{name[:80]}" is no input of the model; as a parameter it must be a string, a number or a boolean.'
        )
    parameters[name] = value


def _tensor(name: str, value: Any, datatype: str | None, expected: TensorMetadata | None, batchable: bool) -> Tensor:
    where = f'Field "{name[:80]}"'
    values = value if type(value) is list else [value]
    if datatype is None:
        datatype = natural_datatype(values, where)
    array = array_from_json(values, datatype, where)
    if batchable and expected is not None and array.ndim == len(expected.shape) - 1:
        array = array[None]
    return Tensor(name, datatype, array.shape, array)
