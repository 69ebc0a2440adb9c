"""The Open Inference Protocol's protobuf messages for inference: bytes to requests, answers to bytes. Pure.

Field numbers: `open_inference.proto` beside this file. Raw tensors are located in the serialized message by their
offset and become numpy arrays where they lie.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np

from haizen_runtime.protocol.dtypes import DATATYPE_NAMES, NUMPY_OF
from haizen_runtime.protocol.errors import InvalidInput
from haizen_runtime.protocol.limits import DEFAULT_LIMITS, RequestLimits
from haizen_runtime.protocol.messages import InferenceRequest, InferenceResponse, RequestedOutput, Scalar, Tensor
from haizen_runtime.protocol.parameters import apply_parameters
from haizen_runtime.protocol.shapes import checked_shape
from haizen_runtime.protocol.tensor_bytes import Buffer, array_from_bytes, bytes_from_array, few_from_bytes
from haizen_runtime.protocol.typed_contents import FIELD_OF, Span, array_from_contents, contents_from_array
from haizen_runtime.protocol.wire import (
    FIXED64,
    LENGTH,
    VARINT,
    bytes_field,
    key,
    packed_field,
    read_fields,
    read_span,
    read_varint,
    signed,
    skip_field,
    tag,
    text,
    text_field,
    varint,
)

Piece = tuple[str, str, tuple[int, ...], Mapping[str, Scalar] | None, tuple[Span, ...]]
"""An input without its raw data: name, datatype, shape, parameters, and where its typed contents lie."""

_CACHED_BYTES: Final = 200
"""Inputs described in up to this many bytes are remembered: clients send the same ones again and again."""
_RAW_OUTPUT: Final = tag(6, LENGTH)


class RequestMessage(NamedTuple):
    """A ModelInferRequest whose tensors still lie in its bytes."""

    model: str
    version: str | None
    id: str | None
    parameters: dict[str, Scalar]
    inputs: list[Piece]
    outputs: list[RequestedOutput]
    raws: list[Span]


def read_request(data: bytes, start: int, end: int, limits: RequestLimits = DEFAULT_LIMITS) -> RequestMessage:
    """Read a ModelInferRequest in data[start:end]. Raises MalformedMessage when it is none."""
    dimensions = limits.tensor_dimensions
    model = version = identifier = ""
    parameters: dict[str, Scalar] = {}
    pieces: list[Piece] = []
    outputs: list[RequestedOutput] = []
    raws: list[Span] = []
    position = start
    while position < end:
        each = data[position]
        if each not in _KEYS:
            position = skip_field(data, position, end)
            continue
        first, position = read_span(data, position + 1, end)
        if each == _MODEL:
            model = text(data, first, position)
        elif each == _RAW:
            raws.append((first, position))
        elif each == _INPUT:
            pieces.append(_input(data, first, position, dimensions))
        elif each == _ID:
            identifier = text(data, first, position)
        elif each == _VERSION:
            version = text(data, first, position)
        elif each == _PARAMETER:
            _read_parameter(data, first, position, parameters)
        else:
            outputs.append(_requested_output(data, first, position))
    return RequestMessage(model, version or None, identifier or None, parameters, pieces, outputs, raws)


def decode_request(data: bytes, message: RequestMessage) -> InferenceRequest:
    """The request in a message that was read from `data`.

    Raises InvalidInput naming the input and what was expected, or MalformedMessage.
    """
    tensors = _tensors(data, message.inputs, message.raws, message.model)
    request = InferenceRequest(message.model, tensors, message.version, message.id)
    if message.outputs:
        request.outputs = message.outputs
    if message.parameters:
        request.parameters = message.parameters
        apply_parameters(request, message.parameters)
    return request


def encode_response(response: InferenceResponse, raw: bool) -> list[Buffer]:
    """A ModelInferResponse in pieces to be joined.

    The tensors are raw contents when `raw` is set, as for a request that had them (KServe's rule), or when one of
    them has no typed field (FP16, BF16).
    """
    tensors = response.outputs
    raw = raw or any(tensor.datatype not in FIELD_OF for tensor in tensors)
    pieces: list[Buffer] = [_head(response.model, response.version)]
    if response.id:
        pieces.append(text_field(3, response.id))
    if response.parameters:
        pieces.append(_parameters(4, response.parameters))
    raws: list[Buffer] = []
    for tensor in tensors:
        parameters = _parameters(4, tensor.parameters) if tensor.parameters else b""
        if raw:
            pieces.append(_output(tensor.name, tensor.datatype, tensor.shape, parameters))
            content = bytes_from_array(tensor.data, tensor.datatype)
            raws += (_RAW_OUTPUT, varint(len(content)), content)
        else:
            contents = bytes_field(5, contents_from_array(tensor.data, tensor.datatype))
            pieces.append(_output(tensor.name, tensor.datatype, tensor.shape, parameters + contents))
    return pieces + raws


_MODEL, _VERSION, _ID, _PARAMETER, _INPUT, _REQUESTED, _RAW = (key(number, LENGTH) for number in range(1, 8))
_INPUT_NAME, _INPUT_DATATYPE, _INPUT_SHAPE, _INPUT_PARAMETER, _INPUT_CONTENTS = (
    _MODEL,
    _VERSION,
    _ID,
    _PARAMETER,
    _INPUT,
)
_INPUT_SIZE: Final = key(3, VARINT)
_KEYS: Final = frozenset((_MODEL, _VERSION, _ID, _PARAMETER, _INPUT, _REQUESTED, _RAW))


def _tensors(data: bytes, pieces: list[Piece], raws: list[Span], model: str) -> list[Tensor]:
    if not pieces:
        raise InvalidInput("Expected at least one input.")
    if raws and len(raws) != len(pieces):
        raise InvalidInput(
            f"The number of inputs ({len(pieces)}) does not match the number of raw_input_contents ({len(raws)}) "
            f"for model {model[:80]}."
        )
    tensors = []
    for index, (name, datatype, shape, parameters, contents) in enumerate(pieces):
        if raws and name and not contents:
            few = few_from_bytes(data, *raws[index], datatype, shape)
            if few is not None:
                tensors.append(Tensor(name, datatype, shape, few, parameters))
                continue
        where = f'Input "{name[:80]}"'
        if not name:
            raise InvalidInput(f"inputs[{index}] must have a name, a non-empty string.")
        if datatype not in NUMPY_OF:
            found = f"datatype {datatype[:40]}" if datatype else "no datatype"
            raise InvalidInput(f"{where}: {found}; expected one of {DATATYPE_NAMES}.")
        if not raws:
            array = array_from_contents(data, contents, datatype, shape, where)
        elif contents:
            raise InvalidInput(f"{where}: contents must not be given beside raw_input_contents.")
        else:
            first, stop = raws[index]
            array = array_from_bytes(data, first, stop, datatype, shape, where)
        tensors.append(Tensor(name, datatype, shape, array, parameters))
    if len(tensors) > 1:
        names = [tensor.name for tensor in tensors]
        if len(set(names)) != len(names):
            raise InvalidInput(f'Input "{next(name for name in names if names.count(name) > 1)}" is given twice.')
    return tensors


def _input(data: bytes, start: int, end: int, max_dimensions: int) -> Piece:
    if end - start <= _CACHED_BYTES:
        name, datatype, shape, parameters, contents = _cached_input(data[start:end], max_dimensions)
        if contents:
            contents = tuple([(first + start, stop + start) for first, stop in contents])
        return name, datatype, shape, parameters, contents
    return _read_input(data, start, end, max_dimensions)


@lru_cache(maxsize=1024)
def _cached_input(message: bytes, max_dimensions: int) -> Piece:
    return _read_input(message, 0, len(message), max_dimensions)


def _read_input(data: bytes, start: int, end: int, max_dimensions: int) -> Piece:
    name = datatype = ""
    shape: list[int] = []
    parameters: dict[str, Scalar] = {}
    contents: list[Span] = []
    for each, first, stop in read_fields(data, start, end):
        if each == _INPUT_NAME:
            name = text(data, first, stop)
        elif each == _INPUT_DATATYPE:
            datatype = text(data, first, stop)
        elif each == _INPUT_SHAPE:
            _read_shape(data, first, stop, shape)
        elif each == _INPUT_SIZE:
            shape.append(signed(first))
        elif each == _INPUT_PARAMETER:
            _read_parameter(data, first, stop, parameters)
        elif each == _INPUT_CONTENTS:
            contents.append((first, stop))
    sizes = checked_shape(shape, f'Input "{name[:80]}"', max_dimensions)
    return name, datatype, sizes, parameters or None, tuple(contents)


_MAX_SIZES: Final = 100
"""Where reading a shape ends; more is refused anyway."""


def _read_shape(data: bytes, start: int, end: int, shape: list[int]) -> None:
    position = start
    while position < end:
        value, position = read_varint(data, position, end)
        if len(shape) < _MAX_SIZES:
            shape.append(signed(value))


def _requested_output(data: bytes, start: int, end: int) -> RequestedOutput:
    name = ""
    parameters: dict[str, Scalar] = {}
    for each, first, stop in read_fields(data, start, end):
        if each == key(1, LENGTH):
            name = text(data, first, stop)
        elif each == key(2, LENGTH):
            _read_parameter(data, first, stop, parameters)
    return RequestedOutput(name, parameters or None)


def _read_parameter(data: bytes, start: int, end: int, parameters: dict[str, Scalar]) -> None:
    """An entry of a map<string, InferParameter>."""
    name = ""
    value: Scalar | None = None
    for each, first, stop in read_fields(data, start, end):
        if each == key(1, LENGTH):
            name = text(data, first, stop)
        elif each == key(2, LENGTH):
            value = _parameter_value(data, first, stop, value)
    if value is None:
        raise InvalidInput(f'Parameter "{name[:80]}" has no value.')
    parameters[name] = value


def _parameter_value(data: bytes, start: int, end: int, value: Scalar | None) -> Scalar | None:
    """What an InferParameter says; `value` when it says nothing."""
    for each, first, stop in read_fields(data, start, end):
        if each == key(1, VARINT):
            value = bool(first)
        elif each == key(2, VARINT):
            value = signed(first)
        elif each == key(3, LENGTH):
            value = text(data, first, stop)
        elif each == key(4, FIXED64):
            value = float(np.uint64(first).view(np.float64))
        elif each == key(5, VARINT):
            value = first
    return value


@lru_cache(maxsize=256)
def _head(model: str, version: str | None) -> bytes:
    return text_field(1, model) + text_field(2, version)


def _output(name: str, datatype: str, shape: tuple[int, ...], rest: bytes) -> bytes:
    return bytes_field(5, _output_head(name, datatype, shape) + rest)


@lru_cache(maxsize=1024)
def _output_head(name: str, datatype: str, shape: tuple[int, ...]) -> bytes:
    return text_field(1, name) + text_field(2, datatype) + packed_field(3, shape)


def _parameters(number: int, parameters: Mapping[str, Scalar]) -> bytes:
    return b"".join(
        bytes_field(number, bytes_field(1, name.encode("utf-8", "replace")) + bytes_field(2, _parameter(value)))
        for name, value in parameters.items()
    )


def _parameter(value: Scalar) -> bytes:
    """An InferParameter; the chosen field is written also when it has its default."""
    if isinstance(value, bool):
        return tag(1, VARINT) + varint(value)
    if isinstance(value, int):
        if value >= 2**63:
            return tag(5, VARINT) + varint(value)  # Triton's uint64_param
        return tag(2, VARINT) + varint(value)
    if isinstance(value, float):
        return tag(4, FIXED64) + np.float64(value).tobytes()  # Triton's double_param
    return bytes_field(3, value.encode("utf-8", "replace"))
