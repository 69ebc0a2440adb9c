"""KServe's v1 protocol: `{"instances": [...]}` to requests, answers to `{"predictions": [...]}`."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson

from haizen_runtime.protocol.cloud_events import data_of
from haizen_runtime.protocol.dtypes import NUMPY_OF, array_from_json, datatype_of
from haizen_runtime.protocol.errors import InferenceFailed, InvalidInput
from haizen_runtime.protocol.json_body import parse_object
from haizen_runtime.protocol.limits import DEFAULT_LIMITS, RequestLimits
from haizen_runtime.protocol.messages import InferenceRequest, InferenceResponse, ModelMetadata, Tensor
from haizen_runtime.protocol.shapes import too_many_dimensions
from haizen_runtime.protocol.tf_json import binary_values, is_binary_output, with_binary_values
from haizen_runtime.protocol.v2_json import json_values


def decode_request(body: bytes | bytearray | memoryview, model: str, metadata: ModelMetadata) -> InferenceRequest:
    """Read a predict request. Raises InvalidInput."""
    return request_from(open_body(body), model, metadata)


def open_body(body: bytes | bytearray | memoryview, max_depth: int = DEFAULT_LIMITS.json_depth) -> dict[str, Any]:
    """The object in a body, with its binary values as bytes (TF Serving's `{"b64": ...}`). Raises InvalidInput."""
    payload = parse_object(body, max_depth)
    if "instances" not in payload and "specversion" in payload:
        payload = data_of(payload)
    if b'"b64"' in bytes(body):
        payload = with_binary_values(payload)
    return payload


def request_from(
    payload: dict[str, Any], model: str, metadata: ModelMetadata, limits: RequestLimits = DEFAULT_LIMITS
) -> InferenceRequest:
    """A request from rows. v1 carries no datatypes: the model's own are used, else what the values are.

    KServe's rule: `instances` is a list of rows, or of objects; `inputs` is taken as the same thing.
    Objects name the model's inputs (ONNX) or its columns (sklearn and the like). Raises InvalidInput.
    """
    key = "instances" if "instances" in payload else "inputs"
    if key not in payload:
        raise InvalidInput('Expected the body to have "instances", a list.')
    instances = payload[key]
    if type(instances) is not list:
        raise InvalidInput(f'Expected "{key}" to be a list.')
    if not instances:
        raise InvalidInput(f'Expected "{key}" to have at least one item.')
    if type(instances[0]) is dict:
        return _request(model, _columns(instances, key, metadata), payload, limits)
    return _request(model, [_only_input(instances, key, metadata)], payload, limits)


def request_from_columns(
    payload: dict[str, Any], model: str, metadata: ModelMetadata, limits: RequestLimits = DEFAULT_LIMITS
) -> InferenceRequest:
    """A request from whole tensors (TF Serving's `inputs`). Raises InvalidInput."""
    inputs = payload.get("inputs")
    if type(inputs) is not dict:
        if type(inputs) is not list or not inputs:
            raise InvalidInput('Expected the body to have "instances" or "inputs", a list with at least one item.')
        return _request(model, [_only_input(inputs, "inputs", metadata)], payload, limits)
    known = {tensor.name: tensor.datatype for tensor in metadata.inputs}
    tensors = []
    for name, values in inputs.items():
        where = f'"inputs" name "{name[:80]}"'
        if type(values) is not list:
            raise InvalidInput(f"{where}: expected a list, the whole tensor.")
        tensors.append(_tensor(values, name, None if metadata.any_datatype else known.get(name), where))
    if not tensors:
        raise InvalidInput('Expected "inputs" to have at least one tensor.')
    return _request(model, tensors, payload, limits)


def encode_response(response: InferenceResponse) -> bytes:
    """Write an answer: one output gives a list of its rows, several give a list of objects (TF Serving's rule)."""
    outputs = output_values(response)
    predictions: Any
    if len(outputs) == 1:
        predictions = outputs[0][1]
    else:
        names = [name for name, _ in outputs]
        if len({tensor.shape[:1] for tensor in response.outputs}) > 1 or not all(t.shape for t in response.outputs):
            shapes = ", ".join(f"{tensor.name} {list(tensor.shape)}" for tensor in response.outputs)
            raise InferenceFailed(f"The outputs are not rows of one batch ({shapes[:300]}); ask for columns or use v2.")
        rows = [value.tolist() if isinstance(value, np.ndarray) else value for _, value in outputs]
        predictions = [dict(zip(names, row, strict=True)) for row in zip(*rows, strict=True)]
    return orjson.dumps({"predictions": predictions}, option=orjson.OPT_SERIALIZE_NUMPY)


def output_values(response: InferenceResponse) -> list[tuple[str, Any]]:
    """Each output's name and values, as orjson writes them."""
    return [
        (
            tensor.name,
            binary_values(tensor.data) if is_binary_output(tensor) else json_values(tensor.data, tensor.datatype),
        )
        for tensor in response.outputs
    ]


def _request(model: str, inputs: list[Tensor], payload: dict[str, Any], limits: RequestLimits) -> InferenceRequest:
    most = limits.tensor_dimensions
    for tensor in inputs:
        if len(tensor.shape) > most:
            raise too_many_dimensions(len(tensor.shape), f'Input "{tensor.name[:80]}"', most)
    request = InferenceRequest(model, inputs)
    parameters = payload.get("parameters")
    if type(parameters) is dict:  # Vertex AI's; it may be any JSON, and what is no scalar means nothing here
        request.parameters = {
            name: value for name, value in parameters.items() if isinstance(value, (str, int, float, bool))
        }
    return request


def _only_input(values: list[Any], key: str, metadata: ModelMetadata) -> Tensor:
    if len(metadata.inputs) > 1:
        names = ", ".join(tensor.name for tensor in metadata.inputs)
        raise InvalidInput(f'This model has several inputs: each item of "{key}" must be an object with {names}.')
    expected = metadata.inputs[0]
    datatype = None if metadata.any_datatype and expected.datatype != "BYTES" else expected.datatype
    return _tensor(values, expected.name, datatype, f'"{key}"')


def _columns(instances: list[Any], key: str, metadata: ModelMetadata) -> list[Tensor]:
    names = list(instances[0])
    known = {tensor.name: tensor.datatype for tensor in metadata.inputs}
    for index, item in enumerate(instances):
        if type(item) is not dict or len(item) != len(names) or any(name not in item for name in names):
            raise InvalidInput(f'"{key}"[{index}] must be an object with the same names as the first item.')
    tensors = []
    for name in names:
        datatype = None if metadata.any_datatype else known.get(name)
        tensors.append(_tensor([item[name] for item in instances], name, datatype, f'"{key}" name "{name[:80]}"'))
    return tensors


def _tensor(values: list[Any], name: str, datatype: str | None, where: str) -> Tensor:
    if datatype is None:
        datatype = natural_datatype(values, where)
    array = array_from_json(values, datatype, where)
    return Tensor(name, datatype, array.shape, array)


def natural_datatype(values: list[Any], where: str) -> str:
    """What numpy makes of the values, as KServe's own servers do."""
    try:
        array = np.array(values)
    except (ValueError, OverflowError) as error:
        raise InvalidInput(f"{where}: the rows are not of equal length.") from error
    if array.dtype.kind == "O":
        flat = array.ravel()
        if all(value is None or type(value) in (int, float) for value in flat):
            return "FP64"
        raise InvalidInput(f"{where}: expected rows of numbers, or rows of strings.")
    if array.dtype.kind == "U":
        return "BYTES"
    name = datatype_of(array)
    if name not in NUMPY_OF:
        raise InvalidInput(f"{where}: expected rows of numbers, or rows of strings.")
    return name
