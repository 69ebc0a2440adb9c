"""The generate extension's JSON: which fields are inputs, of which shapes, and what answers look like."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson
import pytest

from haizen_runtime.protocol.dtypes import datatype_of
from haizen_runtime.protocol.errors import InvalidInput
from haizen_runtime.protocol.generate_json import encode_answer, error_event, event, request_from
from haizen_runtime.protocol.messages import InferenceResponse, ModelMetadata, Tensor, TensorMetadata


def metadata(datatype: str, *shape: int, any_datatype: bool = False) -> ModelMetadata:
    return ModelMetadata("test", (TensorMetadata("x", datatype, shape),), (), any_datatype=any_datatype)


@pytest.mark.parametrize(
    ("taken", "batchable", "value", "datatype", "shape"),
    [
        pytest.param(metadata("BYTES", 1), False, "hello", "BYTES", (1,), id="scalar"),
        pytest.param(metadata("FP32", -1), True, 1, "FP32", (1,), id="scalar-batch"),
        pytest.param(metadata("FP32", -1, 1), True, 1.5, "FP32", (1, 1), id="scalar-row"),
        pytest.param(metadata("FP32", -1, 4), True, [1, 2, 3, 4], "FP32", (1, 4), id="row"),
        pytest.param(metadata("FP32", -1, 4), True, [[1, 2, 3, 4], [5, 6, 7, 8]], "FP32", (2, 4), id="rows"),
        pytest.param(metadata("FP32", 4), False, [1, 2, 3, 4], "FP32", (4,), id="no-batch"),
        pytest.param(metadata("BOOL", -1), True, [True, False], "BOOL", (2,), id="flags"),
        pytest.param(metadata("FP64", -1, 2, any_datatype=True), True, [1, 2], "INT64", (1, 2), id="any-datatype"),
    ],
)
def test_inputs(taken: ModelMetadata, batchable: bool, value: Any, datatype: str, shape: tuple[int, ...]) -> None:
    request = request_from({"x": value}, "model", taken, False, batchable)
    (tensor,) = request.inputs
    assert (tensor.name, tensor.datatype, tensor.shape, tensor.data.shape) == ("x", datatype, shape, shape)


def test_other_fields_are_parameters() -> None:
    body = {"x": 1, "id": "a", "temperature": 0.5, "parameters": {"stop": "no", "priority": 3}}
    request = request_from(body, "model", metadata("FP32", -1), False, True)
    assert (request.id, request.priority) == ("a", 3)
    assert request.parameters == {"stop": "no", "priority": 3, "temperature": 0.5}


def test_every_field_is_an_input_of_a_model_that_takes_anything() -> None:
    body = {"prompt": "hi", "max": 5, "rows": [[1.5], [2.5]], "parameters": {"stop": "no"}, "id": "a"}
    request = request_from(body, "model", metadata("FP64", -1, any_datatype=True), True, False)
    assert {tensor.name: (tensor.datatype, tensor.shape) for tensor in request.inputs} == {
        "prompt": ("BYTES", (1,)), "max": ("INT64", (1,)), "rows": ("FP64", (2, 1)),
    }  # fmt: skip
    assert request.parameters == {"stop": "no"}


@pytest.mark.parametrize(
    ("body", "says"),
    [
        pytest.param({}, "a field for each input of the model: x", id="empty"),
        pytest.param({"y": 1}, "a field for each input of the model: x", id="another"),
        pytest.param({"x": 1, "y": [1]}, 'Field "y" is no input', id="no-parameter"),
        pytest.param({"x": 1, "parameters": [1]}, '"parameters" to be an object', id="parameters"),
        pytest.param({"x": 1, "parameters": {"a": None}}, 'Field "a" is no input', id="null"),
        pytest.param({"x": 1, "id": 1}, '"id" to be a string', id="id"),
        pytest.param({"x": "1"}, 'Field "x": FP32 data must be numbers', id="datatype"),
        pytest.param({"x": {"a": 1}}, 'Field "x": FP32 data must be numbers', id="object"),
        pytest.param({"x": [[1], 2]}, 'Field "x"', id="ragged"),
        pytest.param({"x": 1, "priority": -1}, "priority", id="priority"),
    ],
)
def test_bad_bodies(body: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        request_from(body, "model", metadata("FP32", -1), False, True)


@pytest.mark.parametrize(
    ("array", "value"),
    [
        pytest.param(np.array([[3]]), 3, id="one"),
        pytest.param(np.array([0.1], np.float32), 0.1, id="float"),
        pytest.param(np.array([[1, 2], [3, 4]]), [1, 2, 3, 4], id="flat"),
        pytest.param(np.array([b"hi"], object), "hi", id="text"),
        pytest.param(np.array([float("nan")]), None, id="nan"),
        pytest.param(np.zeros((0, 2)), [], id="none"),
    ],
)
def test_answers(array: Any, value: Any) -> None:
    tensor = Tensor("y", datatype_of(array), array.shape, array)
    body = encode_answer(InferenceResponse("m", "1", [tensor], "7", {"stopped": True, "id": "own"}))
    expected = {"model_name": "m", "model_version": "1", "id": "7", "stopped": True, "y": value}
    assert orjson.loads(body) == expected


def test_events() -> None:
    assert event(b"{}") == b"data: {}\n\n"
    assert error_event('no "x"\nat all') == b'data: {"error":"no \\"x\\"\\nat all"}\n\n'
