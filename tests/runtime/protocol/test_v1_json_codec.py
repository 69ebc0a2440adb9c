"""KServe's v1 JSON: instances in, predictions out."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson
import pytest

from haizen_runtime.protocol.errors import InferenceFailed, InvalidInput
from haizen_runtime.protocol.messages import InferenceResponse, ModelMetadata, Tensor, TensorMetadata
from haizen_runtime.protocol.v1_json import decode_request, encode_response

MATRIX = ModelMetadata("sklearn", (TensorMetadata("input-0", "FP64", (-1, 2)),), (), True, True)
TEXT = ModelMetadata("sklearn", (TensorMetadata("input-0", "BYTES", (-1,)),), (), True, True)
NAMED = ModelMetadata("onnx", (TensorMetadata("a", "FP32", (-1, 2)), TensorMetadata("b", "INT64", (-1,))), ())
ONE_NAMED = ModelMetadata("onnx", (TensorMetadata("image", "FP32", (-1, 2)),), ())


@pytest.mark.parametrize(
    ("metadata", "payload", "expected"),
    [
        pytest.param(MATRIX, {"instances": [[1, 2], [3, 4]]}, {"input-0": ("INT64", [[1, 2], [3, 4]])}, id="integers"),
        pytest.param(MATRIX, {"instances": [[1.5, 2]]}, {"input-0": ("FP64", [[1.5, 2]])}, id="floats"),
        pytest.param(MATRIX, {"inputs": [[1.5, 2]]}, {"input-0": ("FP64", [[1.5, 2]])}, id="inputs-means-the-same"),
        pytest.param(MATRIX, {"instances": [{"p": 1, "q": 2.5}]}, {"p": ("INT64", [1]), "q": ("FP64", [2.5])},
                     id="columns"),
        pytest.param(TEXT, {"instances": ["hello"]}, {"input-0": ("BYTES", [b"hello"])}, id="texts"),
        pytest.param(ONE_NAMED, {"instances": [[1, 2]]}, {"image": ("FP32", [[1, 2]])}, id="the-models-own-datatype"),
        pytest.param(
            NAMED, {"instances": [{"a": [1, 2], "b": 3}, {"b": 4, "a": [5, 6]}]},
            {"a": ("FP32", [[1, 2], [5, 6]]), "b": ("INT64", [3, 4])}, id="named-inputs",
        ),
    ],
)  # fmt: skip
def test_reads(metadata: ModelMetadata, payload: Any, expected: dict[str, tuple[str, Any]]) -> None:
    request = decode_request(orjson.dumps(payload), "m", metadata)
    assert {t.name: (t.datatype, t.data.tolist()) for t in request.inputs} == expected


@pytest.mark.parametrize(
    ("metadata", "payload", "says"),
    [
        pytest.param(MATRIX, {}, '"instances"', id="nothing"),
        pytest.param(MATRIX, {"instances": 5}, 'Expected "instances" to be a list', id="no-list"),
        pytest.param(MATRIX, {"instances": []}, "at least one", id="empty"),
        pytest.param(MATRIX, {"instances": [[1, 2], [3]]}, "not of equal length", id="ragged"),
        pytest.param(MATRIX, {"instances": [[1, {}]]}, "rows of numbers", id="object-in-a-row"),
        pytest.param(MATRIX, {"instances": [{"a": 1}, {"b": 1}]}, r'"instances"\[1\]', id="other-columns"),
        pytest.param(NAMED, {"instances": [[1, 2]]}, "several inputs", id="rows-for-a-model-of-two-inputs"),
        pytest.param(ONE_NAMED, {"instances": [["x", "y"]]}, "FP32 data must be numbers", id="strings-for-floats"),
    ],
)
def test_refuses(metadata: ModelMetadata, payload: Any, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        decode_request(orjson.dumps(payload), "m", metadata)


@pytest.mark.parametrize(
    ("outputs", "predictions"),
    [
        pytest.param({"y": np.array([1, 2])}, [1, 2], id="labels"),
        pytest.param({"y": np.array([[0.5, 0.5]])}, [[0.5, 0.5]], id="rows"),
        pytest.param({"y": np.array([np.nan])}, [None], id="nan-is-null"),
        pytest.param({"y": np.array([b"cat"], dtype=object)}, ["cat"], id="string-labels"),
        pytest.param(
            {"label": np.array([1]), "score": np.array([[0.25, 0.75]])}, [{"label": 1, "score": [0.25, 0.75]}],
            id="several-outputs",
        ),
    ],
)  # fmt: skip
def test_writes(outputs: dict[str, Any], predictions: Any) -> None:
    tensors = [Tensor(n, "BYTES" if a.dtype == object else "FP64", a.shape, a) for n, a in outputs.items()]
    assert orjson.loads(encode_response(InferenceResponse("m", None, tensors))) == {"predictions": predictions}


@pytest.mark.parametrize(
    "shapes",
    [
        pytest.param([(2,), (3,)], id="unequal"),
        pytest.param([(), (1,)], id="scalar"),
        pytest.param([(), ()], id="scalars"),
    ],
)
def test_outputs_that_are_no_rows(shapes: list[tuple[int, ...]]) -> None:
    tensors = [Tensor(f"y{index}", "FP64", shape, np.zeros(shape)) for index, shape in enumerate(shapes)]
    with pytest.raises(InferenceFailed, match="not rows of one batch"):
        encode_response(InferenceResponse("m", None, tensors))
