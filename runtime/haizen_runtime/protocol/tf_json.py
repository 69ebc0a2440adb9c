"""TensorFlow Serving's REST forms beside KServe's v1: columns, binary values, the status and metadata documents. Pure.

Rows (`instances`) are KServe's v1 (v1_json.py). Columns are `{"inputs": ...}`: an object of whole tensors by name, or
the one input's tensor by itself; the answer is `{"outputs": ...}` of the same form.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

import orjson

from haizen_runtime.protocol.errors import InvalidInput
from haizen_runtime.protocol.messages import ModelMetadata, Tensor, TensorMetadata

if TYPE_CHECKING:
    import numpy as np

SIGNATURE: Final = "serving_default"
"""TensorFlow's name of what a model does unless something else is asked for; here it is all that it does."""

STATE_OF: Final = {
    "UNLOADED": "END", "LOADING": "LOADING", "READY": "AVAILABLE", "UNLOADING": "UNLOADING", "FAILED": "END",
}  # fmt: skip
"""Our states as TensorFlow Serving's."""

DTYPE_OF: Final = {
    "BOOL": "DT_BOOL", "UINT8": "DT_UINT8", "UINT16": "DT_UINT16", "UINT32": "DT_UINT32", "UINT64": "DT_UINT64",
    "INT8": "DT_INT8", "INT16": "DT_INT16", "INT32": "DT_INT32", "INT64": "DT_INT64", "FP16": "DT_HALF",
    "FP32": "DT_FLOAT", "FP64": "DT_DOUBLE", "BF16": "DT_BFLOAT16", "BYTES": "DT_STRING",
}  # fmt: skip
"""The protocol's datatypes as TensorFlow's."""


def check_signature(payload: Mapping[str, Any]) -> None:
    """Raises InvalidInput for a signature that is not the usual one."""
    name = payload.get("signature_name")
    if name not in (None, "", SIGNATURE):
        raise InvalidInput(f'Serving signature name: "{str(name)[:80]}" not found; the model has {SIGNATURE}.')


def is_columnar(payload: Mapping[str, Any], versioned: bool) -> bool:
    """Whether a body's `inputs` are TensorFlow Serving's columns.

    KServe reads a list of `inputs` as rows. An object is no list of rows; and a signature or a path with a version is
    only TensorFlow Serving's.
    """
    return type(payload.get("inputs")) is dict or (
        "instances" not in payload and (versioned or "signature_name" in payload)
    )


def with_binary_values(value: Any) -> Any:
    """JSON with each `{"b64": "..."}` as the bytes it stands for. Raises InvalidInput for what is no base64."""
    if type(value) is list:
        return [with_binary_values(item) for item in value]
    if type(value) is not dict:
        return value
    if len(value) != 1 or type(value.get("b64")) is not str:
        return {name: with_binary_values(item) for name, item in value.items()}
    try:
        return base64.b64decode(value["b64"], validate=True)
    except (binascii.Error, ValueError):
        raise InvalidInput(f'"{value["b64"][:40]}" is not valid base64.') from None


def binary_values(data: np.ndarray[Any, Any]) -> Any:
    """A BYTES tensor as nested `{"b64": "..."}`, which TensorFlow Serving writes for outputs named `*_bytes`."""
    return _encoded(data.tolist())


def encode_columns(outputs: Iterable[tuple[str, Any]]) -> bytes:
    """Write an answer of columns: one output by itself, several by name."""
    named = dict(outputs)
    return orjson.dumps(
        {"outputs": next(iter(named.values())) if len(named) == 1 else named}, option=orjson.OPT_SERIALIZE_NUMPY
    )


def version_status(version: str, state: str, error: str) -> dict[str, Any]:
    """One version of `model_version_status`."""
    status = {"error_code": "UNKNOWN" if error else "OK", "error_message": error}
    return {"version": version, "state": STATE_OF[state], "status": status}


def model_metadata(name: str, version: str, metadata: ModelMetadata) -> dict[str, Any]:
    """The document of `GET /v1/models/{name}/metadata`."""
    signature = {
        "inputs": {tensor.name: _tensor_info(tensor) for tensor in metadata.inputs},
        "outputs": {tensor.name: _tensor_info(tensor) for tensor in metadata.outputs},
        "method_name": "tensorflow/serving/predict",
    }
    return {
        "model_spec": {"name": name, "signature_name": "", "version": version},
        "metadata": {"signature_def": {"signature_def": {SIGNATURE: signature}}},
    }


def is_binary_output(tensor: Tensor) -> bool:
    """Whether TensorFlow Serving writes an output as base64."""
    return tensor.datatype == "BYTES" and tensor.name.endswith("_bytes")


def _tensor_info(tensor: TensorMetadata) -> dict[str, Any]:
    sizes = [{"size": str(size), "name": ""} for size in tensor.shape]
    return {
        "dtype": DTYPE_OF[tensor.datatype],
        "tensor_shape": {"dim": sizes, "unknown_rank": False},
        "name": f"{tensor.name}:0",
    }


def _encoded(value: Any) -> Any:
    if type(value) is list:
        return [_encoded(item) for item in value]
    data = value if isinstance(value, bytes) else str(value).encode()
    return {"b64": base64.b64encode(data).decode()}
