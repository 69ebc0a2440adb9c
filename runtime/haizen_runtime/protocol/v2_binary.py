"""The binary tensor data extension: JSON first, then the bytes of the tensors that it describes, tightly packed.

`Inference-Header-Content-Length` is the length of the JSON. An input with the parameter `binary_data_size` has its data
behind it, in the order of the inputs; outputs with `binary_data`, or all with the request's `binary_data_output`, come
back the same way. A length of 0 is Triton's raw request: the whole body is the model's one input.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, Final

import numpy as np
import orjson

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
from haizen_runtime.protocol.tensor_bytes import WIRE_TYPE_OF, Buffer, array_from_bytes, bytes_from_array
from haizen_runtime.protocol.v2_json import BINARY_SIZE, decode_request, described, encode_output, encode_response

BINARY: Final = "binary_data"
ALL_BINARY: Final = "binary_data_output"


@dataclass(slots=True, frozen=True)
class BinaryAnswer:
    """An answer in pieces: the JSON, then each binary output."""

    json_length: int
    pieces: list[Buffer]


class TensorsBehind:
    """The bytes behind a request's JSON, taken one tensor after the other."""

    __slots__ = ("_body", "_position")

    def __init__(self, body: Buffer, json_length: int) -> None:
        self._body = body
        self._position = json_length

    def take(self, size: Any, datatype: str, shape: tuple[int, ...], where: str) -> np.ndarray[Any, Any]:
        """The next tensor, without a copy where its alignment allows it. Raises InvalidInput naming `where`."""
        if type(size) is not int or size < 0:
            raise InvalidInput(f"{where}: {BINARY_SIZE} must be an integer of 0 or more.")
        start, end = self._position, self._position + size
        if end > len(self._body):
            left = len(self._body) - start
            raise InvalidInput(f"{where}: {BINARY_SIZE} is {size}, and {left} bytes of the body are left.")
        self._position = end
        return array_from_bytes(self._body, start, end, datatype, shape, where)

    def check_end(self) -> None:
        """Raises InvalidInput when bytes are left that belong to no input."""
        left = len(self._body) - self._position
        if left:
            raise InvalidInput(
                f"The body has {left} bytes that belong to no input: Inference-Header-Content-Length and each "
                f"{BINARY_SIZE} must add up to its {len(self._body)} bytes."
            )


def decode_binary_request(
    body: Buffer, json_length: int, model: str, version: str | None = None, limits: RequestLimits = DEFAULT_LIMITS
) -> InferenceRequest:
    """Read an infer request with `json_length` (1 or more) bytes of JSON. Raises InvalidInput."""
    check_length(json_length, len(body))
    behind = TensorsBehind(body, json_length)
    request = decode_request(memoryview(body)[:json_length], model, version, behind, limits)
    behind.check_end()
    return request


def check_length(json_length: int, body_length: int) -> None:
    """Raises InvalidInput when the JSON would be longer than the body."""
    if json_length > body_length:
        raise InvalidInput(
            f"Inference-Header-Content-Length is {json_length}, and the body has only {body_length} bytes."
        )


def decode_raw_request(
    body: Buffer, model: str, version: str | None, metadata: ModelMetadata, batchable: bool
) -> InferenceRequest:
    """Read a body that is nothing but the data of the model's only input, in one row of a batch (Triton's rule).

    BYTES is one element, the body. Raises InvalidInput when the model's metadata leaves the shape open.
    """
    if len(metadata.inputs) != 1:
        raise InvalidInput(
            f"A raw request (Inference-Header-Content-Length: 0) has no names, and model {model} has "
            f"{len(metadata.inputs)} inputs; send JSON that describes them."
        )
    expected = metadata.inputs[0]
    shape = _raw_shape(expected, len(body), batchable)
    where = f'Input "{expected.name}"'
    if expected.datatype == "BYTES":
        data = np.empty(1, object)
        data[0] = bytes(body)
        array = data.reshape(shape)
    else:
        array = array_from_bytes(body, 0, len(body), expected.datatype, shape, where)
    request = InferenceRequest(model, [Tensor(expected.name, expected.datatype, shape, array)], version)
    request.parameters = {ALL_BINARY: True}
    return request


def encode_answer(response: InferenceResponse, request: InferenceRequest) -> bytes | BinaryAnswer:
    """Write an answer with the outputs as bytes that the request wants so; without any it is plain JSON."""
    every, named = _wanted(request)
    if not every and not any(named.values()):
        return encode_response(response)
    outputs: list[dict[str, Any]] = []
    pieces: list[Buffer] = [b""]
    for tensor in response.outputs:
        if not named.get(tensor.name, every):
            outputs.append(encode_output(tensor))
            continue
        data = bytes_from_array(tensor.data, tensor.datatype)
        parameters = {**(tensor.parameters or {}), BINARY_SIZE: len(data)}
        outputs.append(
            {"name": tensor.name, "datatype": tensor.datatype, "shape": tensor.shape, "parameters": parameters}
        )
        pieces.append(data)
    payload = described(response)
    payload["outputs"] = outputs
    header = pieces[0] = orjson.dumps(payload, option=orjson.OPT_SERIALIZE_NUMPY)
    return BinaryAnswer(len(header), pieces)


def wants_binary(request: InferenceRequest) -> bool:
    """Whether any output shall be binary, or says something about it. Raises InvalidInput for what is no boolean."""
    every, named = _wanted(request)
    return every or bool(named)


def _wanted(request: InferenceRequest) -> tuple[bool, dict[str, bool]]:
    """What holds for outputs in general, and for those that say it themselves."""
    every = _flag(request.parameters, ALL_BINARY, "The request") if request.parameters else None
    named: dict[str, bool] = {}
    for output in request.outputs or ():
        if output.parameters:
            flag = _flag(output.parameters, BINARY, f'Output "{output.name[:80]}"')
            if flag is not None:
                named[output.name] = flag
    return bool(every), named


def _flag(parameters: Mapping[str, Scalar], name: str, where: str) -> bool | None:
    value = parameters.get(name)
    if value is not None and type(value) is not bool:
        raise InvalidInput(f"{where}: parameter {name} must be true or false.")
    return value


def _raw_shape(expected: TensorMetadata, size: int, batchable: bool) -> tuple[int, ...]:
    """The shape of a raw body: a single row, and at most one size that the number of bytes decides."""
    shape = list(expected.shape)
    if expected.datatype == "BYTES":
        if any(length not in (-1, 1) for length in shape):
            raise InvalidInput(
                f'Input "{expected.name}" has shape {shape}; a raw request is one BYTES element and cannot fill it.'
            )
        return (1,) * len(shape)
    if batchable and shape and shape[0] == -1 and shape.count(-1) > 1:
        shape[0] = 1
    if shape.count(-1) > 1:
        raise InvalidInput(
            f'Input "{expected.name}" has shape {list(expected.shape)}: a raw request cannot say its sizes.'
        )
    if -1 in shape:
        known = prod(length for length in shape if length != -1) * WIRE_TYPE_OF[expected.datatype].itemsize
        shape[shape.index(-1)] = size // known if known else 0
    return tuple(shape)
