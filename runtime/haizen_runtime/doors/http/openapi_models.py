"""The OpenAPI paths of each loaded model: its own inputs as schemas, and bodies that it answers as examples. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from haizen_runtime.protocol.dtypes import NUMPY_OF, datatype_of
from haizen_runtime.protocol.messages import ModelMetadata, TensorMetadata
from haizen_runtime.protocol.v2_json import json_values

Array = np.ndarray[Any, Any]
Sample = Mapping[str, Array]
Json = dict[str, Any]

KINDS: Final = {"BOOL": "boolean", "BYTES": "string", "FP16": "number", "BF16": "number", "FP32": "number",
                "FP64": "number"}  # fmt: skip
"""JSON's types of the datatypes; the others are integers."""
NO_JSON: Final = frozenset({"FP16", "BF16"})
"""Datatypes that v2's JSON cannot carry."""

EVENT: Final[Json] = {"type": "object", "properties": {"data": {"type": "string"}}, "required": ["data"]}
"""One server-sent event, as OpenAPI describes streams of them."""


@dataclass(frozen=True, slots=True)
class DescribedModel:
    """What is said about one loaded model. Two of equal value are described equally."""

    name: str
    metadata: ModelMetadata
    batchable: bool
    takes_anything: bool
    takes_json: bool
    explains: bool
    decoupled: bool


def paths_of(model: DescribedModel, sample: Sample | None) -> Json:
    """The paths of a model; `sample` is inputs that it answers, where any are known."""
    if sample is None and not model.takes_anything:
        sample = {tensor.name: _zeros(tensor) for tensor in model.metadata.inputs}
    v1, v2 = f"/v1/models/{model.name}", f"/v2/models/{model.name}"
    generate = _body(_generate_schema(model), _generate_example(model, sample))
    # Of a model that streams it takes exactly one answer, and how many there will be nobody knows.
    single = _body(generate["schema"], None) if model.decoupled else generate
    paths: Json = {
        f"{v2}/generate": _post(model, "Infer, by the names of the inputs", single, {"type": "object"}),
        f"{v2}/generate_stream": _post(
            model, "Infer, answered by server-sent events", generate, EVENT, "text/event-stream"
        ),
    }
    if not model.decoupled:
        rows = _body(_v1_schema(model), _v1_example(model, sample))
        tensors = _body(_v2_schema(model), _v2_example(sample))
        paths[f"{v1}:predict"] = _post(model, "Predict", rows, _reference("V1Response"))
        paths[f"{v2}/infer"] = _post(model, "Infer", tensors, _reference("InferResponse"))
        if model.explains:
            paths[f"{v1}:explain"] = _post(model, "Explain a prediction", rows, {"type": "object"})
    return paths


def _post(model: DescribedModel, summary: str, body: Json, answer: Json, kind: str = "application/json") -> Json:
    responses = {"200": {"description": "The answer.", "content": {kind: {"schema": answer}}}}
    for status in ("400", "404", "408", "413", "415", "500", "501", "503", "504"):
        failure = {"application/json": {"schema": _reference("Failure")}}
        responses[status] = {"description": "Why there is no answer.", "content": failure}
    content = {"application/json": body}
    request = {"required": True, "content": content}
    return {"post": {"tags": [model.name], "summary": summary, "requestBody": request, "responses": responses}}


def _body(schema: Json, example: Json | None) -> Json:
    return {"schema": schema} if example is None else {"schema": schema, "example": example}


def _reference(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _v2_schema(model: DescribedModel) -> Json:
    if model.takes_anything:
        return _reference("InferRequest")
    tensors = [_tensor_schema(tensor, model.metadata) for tensor in model.metadata.inputs]
    inputs: Json = {"type": "array", "minItems": 1 if model.metadata.any_input_name else len(tensors)}
    inputs["items"] = tensors[0] if len(tensors) == 1 else {"anyOf": tensors}
    return _object({"id": {"type": "string"}, "parameters": {"type": "object"}, "inputs": inputs}, ["inputs"])


def _tensor_schema(tensor: TensorMetadata, metadata: ModelMetadata) -> Json:
    name: Json = {"type": "string"} if metadata.any_input_name else {"const": tensor.name}
    datatype: Json = {"enum": list(NUMPY_OF)} if metadata.any_datatype else {"const": tensor.datatype}
    shape = {"type": "array", "items": {"type": "integer"}, "description": f"{list(tensor.shape)}, -1: any size"}
    data = {"type": "array", "description": "Flat in row-major order, or nested as the shape says."}
    properties = {"name": name, "datatype": datatype, "shape": shape, "data": data, "parameters": {"type": "object"}}
    return _object(properties, ["name", "datatype", "shape"])


def _v1_schema(model: DescribedModel) -> Json:
    if model.takes_json:
        return {"type": "object", "description": "The model's own code reads the body."}
    inputs = model.metadata.inputs
    if model.takes_anything or model.metadata.any_input_name:  # rows may also be objects, with columns by name
        items: Json = {}
    elif len(inputs) == 1:
        items = _values_schema(inputs[0], 1)
    else:
        items = _object({tensor.name: _values_schema(tensor, 1) for tensor in inputs}, [each.name for each in inputs])
    instances = {"type": "array", "minItems": 1, "items": items}
    return _object({"instances": instances, "inputs": {}, "parameters": {}}, [])


def _generate_schema(model: DescribedModel) -> Json:
    properties: Json = {"id": {"type": "string"}, "parameters": {"type": "object"}}
    if model.takes_anything:
        return _object(properties, [])
    names = [tensor.name for tensor in model.metadata.inputs]
    properties |= {
        tensor.name: {"description": f"{tensor.datatype} {list(tensor.shape)}, -1: any size; a scalar for one element."}
        for tensor in model.metadata.inputs
    }
    return _object(properties, [] if model.metadata.any_input_name else names)


def _values_schema(tensor: TensorMetadata, axis: int) -> Json:
    """The nested lists of a tensor from one of its axes on."""
    if axis >= len(tensor.shape):
        return {"type": KINDS.get(tensor.datatype, "integer")}
    schema: Json = {"type": "array", "items": _values_schema(tensor, axis + 1)}
    if tensor.shape[axis] >= 0:
        schema["minItems"] = schema["maxItems"] = tensor.shape[axis]
    return schema


def _object(properties: Json, required: Iterable[str]) -> Json:
    return {"type": "object", "properties": properties, "required": list(required)}


def _v2_example(sample: Sample | None) -> Json | None:
    if sample is None:
        return None
    inputs = []
    for name, array in sample.items():
        datatype = datatype_of(array)
        if datatype in NO_JSON:
            return None
        data = _listed(array.reshape(-1))
        inputs.append({"name": name, "shape": list(array.shape), "datatype": datatype, "data": data})
    return {"inputs": inputs}


def _v1_example(model: DescribedModel, sample: Sample | None) -> Json | None:
    if sample is None or model.takes_json:
        return None
    if len(model.metadata.inputs) == 1 and len(sample) == 1:
        return {"instances": _listed(next(iter(sample.values())))}
    if model.batchable:
        return {"instances": [{name: _listed(array)[0] for name, array in sample.items()}]}
    return {"inputs": {name: _listed(array) for name, array in sample.items()}}


def _generate_example(model: DescribedModel, sample: Sample | None) -> Json | None:
    if sample is None:
        return None
    rows = {name: array[0] if model.batchable and array.ndim > 1 else array for name, array in sample.items()}
    return {
        name: _listed(array)[0] if array.size == 1 == array.ndim else _listed(array) for name, array in rows.items()
    }


def _listed(array: Array) -> Any:
    values = json_values(array, datatype_of(array))
    return values.tolist() if isinstance(values, np.ndarray) else values


def _zeros(tensor: TensorMetadata) -> Array:
    empty: Any = b"text" if tensor.datatype == "BYTES" else 0
    return np.full([max(size, 1) for size in tensor.shape], empty, dtype=NUMPY_OF[tensor.datatype])
