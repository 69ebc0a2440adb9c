"""The Open Inference Protocol's JSON: bodies to requests, answers to bodies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol

import numpy as np
import orjson

from haizen_runtime.protocol.dtypes import DATATYPE_NAMES, NUMPY_OF, array_from_json, few_from_json
from haizen_runtime.protocol.errors import InferenceFailed, InvalidInput
from haizen_runtime.protocol.json_body import parse_object
from haizen_runtime.protocol.large_json import LARGE_BYTES, LargeReader
from haizen_runtime.protocol.limits import DEFAULT_LIMITS, RequestLimits
from haizen_runtime.protocol.messages import (
    InferenceRequest,
    InferenceResponse,
    RequestedOutput,
    Scalar,
    Tensor,
)
from haizen_runtime.protocol.parameters import apply_parameters
from haizen_runtime.protocol.shapes import checked_shape, element_count, is_shape_of

_LARGE: Final = LargeReader()


class BinaryInputs(Protocol):
    """Where the tensors are that a request's JSON only describes (v2_binary.py)."""

    def take(self, size: Any, datatype: str, shape: tuple[int, ...], where: str) -> np.ndarray[Any, Any]:
        """The next tensor, of `size` bytes. Raises InvalidInput naming `where`."""


def decode_request(
    body: bytes | bytearray | memoryview,
    model: str,
    version: str | None = None,
    binary: BinaryInputs | None = None,
    limits: RequestLimits = DEFAULT_LIMITS,
) -> InferenceRequest:
    """Read an infer request. Raises InvalidInput naming the input and what was expected."""
    payload = _LARGE.read(bytes(body)) if binary is None and len(body) >= LARGE_BYTES else None
    if payload is None:
        payload = parse_object(body, limits.json_depth)
    return request_from(payload, model, version, binary, limits)


def request_from(
    payload: Mapping[str, Any],
    model: str,
    version: str | None = None,
    binary: BinaryInputs | None = None,
    limits: RequestLimits = DEFAULT_LIMITS,
) -> InferenceRequest:
    """An infer request from its JSON object. Raises InvalidInput naming the input and what was expected."""
    items = payload.get("inputs")
    if type(items) is not list or not items:
        raise InvalidInput('Expected "inputs" to be a list with at least one input.')
    dimensions = limits.tensor_dimensions
    inputs = [_decode_input(item, index, binary, dimensions) for index, item in enumerate(items)]
    if len(inputs) > 1:
        names = [tensor.name for tensor in inputs]
        if len(set(names)) != len(names):
            raise InvalidInput(f'Input "{next(name for name in names if names.count(name) > 1)}" is given twice.')
    request = InferenceRequest(model, inputs, version)
    request_id = payload.get("id")
    if request_id is not None:
        if type(request_id) is not str:
            raise InvalidInput('Expected "id" to be a string.')
        request.id = request_id
    if "parameters" in payload:
        parameters = _parameters(payload, "The request")
        if parameters:
            request.parameters = parameters
            apply_parameters(request, parameters)
    outputs = payload.get("outputs")
    if outputs:
        request.outputs = _requested_outputs(outputs)
    elif outputs is not None and type(outputs) is not list:
        raise InvalidInput('Expected "outputs" to be a list.')
    return request


def encode_response(response: InferenceResponse) -> bytes:
    """Write an answer as the protocol's JSON, tensors flat in row-major order; NaN and infinities become null."""
    payload = described(response)
    payload["outputs"] = [encode_output(tensor) for tensor in response.outputs]
    return orjson.dumps(payload, option=orjson.OPT_SERIALIZE_NUMPY)


def described(response: InferenceResponse) -> dict[str, Any]:
    """All of an answer's JSON but the outputs, which come last."""
    payload: dict[str, Any] = {"model_name": response.model}
    if response.version is not None:
        payload["model_version"] = response.version
    if response.id is not None:
        payload["id"] = response.id
    if response.parameters:
        payload["parameters"] = response.parameters
    return payload


BINARY_SIZE: Final = "binary_data_size"
"""The parameter that says how many bytes of the body a tensor has, after the JSON."""
_SMALL: Final = 64
"""Up to this many elements a Python list is written faster than an array."""


def json_values(data: np.ndarray[Any, Any], datatype: str) -> Any:
    """An array as something orjson writes, in the array's own shape."""
    if datatype == "BYTES":
        return _decode_strings(data.tolist())
    if data.ndim == 0 or (data.size <= _SMALL and datatype not in ("FP32", "FP16")) or data.size == 0:
        return data.tolist()  # not for short floats: Python would write 0.1 with all the digits of a double
    return np.ascontiguousarray(data)


def _decode_strings(value: Any) -> Any:
    if type(value) is list:
        return [_decode_strings(item) for item in value]
    if type(value) is not bytes:
        return value
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise InferenceFailed("A BYTES output is not UTF-8 text and cannot be written as JSON.") from None


def _decode_input(item: Any, index: int, binary: BinaryInputs | None, max_dimensions: int) -> Tensor:
    if type(item) is not dict:
        raise InvalidInput(f"inputs[{index}] must be an object with name, shape, datatype and data.")
    name = item.get("name")
    if type(name) is not str or not name:
        raise InvalidInput(f"inputs[{index}] must have a name, a non-empty string.")
    datatype: Any = item.get("datatype")
    shape: Any = item.get("shape")
    data, parameters = item.get("data"), item.get("parameters")
    few = few_from_json(data, datatype) if parameters is None else None
    if few is not None and is_shape_of(few.size, shape, max_dimensions):
        sizes = tuple(shape)
        return Tensor(name, datatype, sizes, few.reshape(sizes))
    where = f'Input "{name[:80]}"'
    if type(datatype) is not str or datatype not in NUMPY_OF:
        found = "no datatype" if datatype is None else f"datatype {str(datatype)[:40]}"
        raise InvalidInput(f"{where}: {found}; expected one of {DATATYPE_NAMES}.")
    shape = checked_shape(shape, where, max_dimensions)
    if parameters:
        parameters = _parameters(item, where)
        size = parameters.pop(BINARY_SIZE, None) if parameters else None
        if size is not None:
            if data is not None:
                raise InvalidInput(f"{where}: it has both data and {BINARY_SIZE}; send one of them.")
            if binary is None:
                raise InvalidInput(
                    f"{where}: {BINARY_SIZE} is {str(size)[:40]}, and the request has no header "
                    "Inference-Header-Content-Length, the length of its JSON in bytes."
                )
            return Tensor(name, datatype, shape, binary.take(size, datatype, shape, where), parameters or None)
    if type(data) is not list and not isinstance(data, np.ndarray):
        raise InvalidInput(f"{where}: data must be a list, flat or nested as its shape says.")
    if datatype in ("FP16", "BF16"):
        raise InvalidInput(
            f"{where}: {datatype} data cannot be sent as JSON (the protocol's rule); "
            f"send it as binary data ({BINARY_SIZE}), or send FP32."
        )
    count = element_count(shape, where)
    array = array_from_json(data, datatype, where)
    if array.shape != shape:
        if array.size != count:
            raise InvalidInput(
                f"{where}: shape {list(shape)} needs {count} element{'' if count == 1 else 's'}, data has {array.size}."
            )
        array = array.reshape(shape)
    return Tensor(name, datatype, shape, array, parameters or None)


def encode_output(tensor: Tensor) -> dict[str, Any]:
    """An output with its values, as orjson writes them."""
    flat = tensor.data if len(tensor.shape) == 1 else tensor.data.reshape(-1)
    data = json_values(flat, tensor.datatype)
    output = {"name": tensor.name, "datatype": tensor.datatype, "shape": tensor.shape, "data": data}
    if tensor.parameters:
        output["parameters"] = dict(tensor.parameters)
    return output


def _parameters(holder: Mapping[str, Any], where: str) -> dict[str, Scalar] | None:
    parameters = holder.get("parameters")
    if parameters is None:
        return None
    if type(parameters) is not dict:
        raise InvalidInput(f"{where}: parameters must be an object.")
    for name, value in parameters.items():
        if not isinstance(value, (str, int, float, bool)):
            raise InvalidInput(f'{where}: parameter "{name[:80]}" must be a string, a number or a boolean.')
    return parameters


def _requested_outputs(outputs: Any) -> list[RequestedOutput]:
    if type(outputs) is not list:
        raise InvalidInput('Expected "outputs" to be a list.')
    requested = []
    for index, item in enumerate(outputs):
        if type(item) is not dict or type(item.get("name")) is not str:
            raise InvalidInput(f"outputs[{index}] must be an object with a name.")
        requested.append(RequestedOutput(item["name"], _parameters(item, f'Output "{item["name"][:80]}"')))
    return requested
