"""The binary tensor data extension's codec: no copies, and nothing but a request or an InvalidInput from any bytes."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from haizen_runtime.doors.http.body import BodyReader
from haizen_runtime.protocol.dtypes import NUMPY_OF
from haizen_runtime.protocol.errors import InvalidInput
from haizen_runtime.protocol.messages import (
    InferenceRequest,
    InferenceResponse,
    ModelMetadata,
    RequestedOutput,
    Tensor,
    TensorMetadata,
)
from haizen_runtime.protocol.tensor_bytes import bytes_from_array
from haizen_runtime.protocol.v2_binary import BinaryAnswer, decode_binary_request, decode_raw_request, encode_answer
from tests.runtime.tensor_cases import BAD_TENSORS, DATATYPES, SHAPES, values_of

DATATYPE = st.sampled_from([*NUMPY_OF, "X"])


def body_of(arrays: Mapping[str, Any], datatype: str, padding: int = 0) -> tuple[bytes, int]:
    datas = [bytes(bytes_from_array(array, datatype)) for array in arrays.values()]
    inputs = [
        {"name": name, "datatype": datatype, "shape": array.shape, "parameters": {"binary_data_size": len(data)}}
        for (name, array), data in zip(arrays.items(), datas, strict=True)
    ]
    head = orjson.dumps({"inputs": inputs}) + b" " * padding
    return head + b"".join(datas), len(head)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("datatype", DATATYPES)
def test_what_was_written_is_read(datatype: str, shape: tuple[int, ...]) -> None:
    array = values_of(datatype, shape)
    tensor = Tensor("y", datatype, shape, array)
    wanted = InferenceRequest("m", [], outputs=[RequestedOutput("y", {"binary_data": True})])
    answer = encode_answer(InferenceResponse("m", "1", [tensor], "i"), wanted)
    assert isinstance(answer, BinaryAnswer)
    written = orjson.loads(answer.pieces[0])
    assert (written["model_name"], written["model_version"], written["id"]) == ("m", "1", "i")
    (output,) = written["outputs"]
    assert output["parameters"] == {"binary_data_size": len(answer.pieces[1])}
    body = orjson.dumps({"inputs": [output]})
    (read,) = decode_binary_request(body + bytes(answer.pieces[1]), len(body), "m").inputs
    assert (read.name, read.datatype, read.shape, read.parameters) == ("y", datatype, shape, None)
    assert np.array_equal(read.data, array)


@pytest.mark.parametrize("datatype", ["INT8", "FP16", "FP32", "FP64"])
def test_tensors_stay_where_they_came(datatype: str) -> None:
    arrays = {"a": values_of(datatype, (2, 500)), "b": values_of(datatype, (4, 500))}
    body, length = body_of(arrays, datatype)
    body, length = body_of(arrays, datatype, -length % 16)  # as body.py aligns what comes in pieces
    whole = np.frombuffer(body, np.uint8)
    for tensor in decode_binary_request(body, length, "m").inputs:
        assert np.array_equal(tensor.data, arrays[tensor.name])
        assert np.shares_memory(tensor.data, whole)


@pytest.mark.parametrize("pieces", [1, 2, 7])
@pytest.mark.parametrize("padding", range(9))
def test_a_body_in_pieces_is_put_together_so_that_its_tensors_are_aligned(pieces: int, padding: int) -> None:
    array = values_of("FP64", (2, 500))
    body, length = body_of({"a": array}, "FP64", padding)
    size = -(-len(body) // pieces)
    chunks = [body[start : start + size] for start in range(0, len(body), size)]
    messages = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    messages[-1]["more_body"] = False

    async def receive() -> Mapping[str, Any]:
        return messages.pop(0)

    async def read() -> bytes | memoryview:
        return await BodyReader(10**6, 60, asyncio.get_running_loop()).read(receive, {}, length)

    whole = asyncio.run(read())
    assert whole == body
    (tensor,) = decode_binary_request(whole, length, "m").inputs
    assert np.array_equal(tensor.data, array)
    assert tensor.data.flags.aligned
    if pieces > 1:
        assert np.shares_memory(tensor.data, np.frombuffer(whole, np.uint8))


def test_large_outputs_are_not_copied() -> None:
    array = np.arange(10_000, dtype=np.float32).reshape(10, 1000)
    request = InferenceRequest("m", [], parameters={"binary_data_output": True})
    answer = encode_answer(InferenceResponse("m", None, [Tensor("y", "FP32", array.shape, array)]), request)
    assert isinstance(answer, BinaryAnswer)
    assert np.shares_memory(np.frombuffer(answer.pieces[1], np.uint8), array)


@pytest.mark.parametrize(
    ("datatype", "shape", "batchable", "size", "expected"),
    [
        pytest.param("FP32", (-1, 4), True, 32, (2, 4), id="rows-by-size"),
        pytest.param("FP32", (-1, -1), True, 32, (1, 8), id="one-row"),
        pytest.param("FP32", (-1, 2, -1), True, 32, (1, 2, 4), id="one-row-inner"),
        pytest.param("FP32", (3, -1), False, 24, (3, 2), id="fixed-rows"),
        pytest.param("FP32", (2,), False, 8, (2,), id="fixed"),
        pytest.param("FP32", (-1, -1), False, 32, "cannot say its sizes", id="two-open"),
        pytest.param("FP32", (-1, 4), True, 30, "found 30", id="uneven"),
        pytest.param("FP32", (-1, 0), True, 0, (0, 0), id="nothing"),
        pytest.param("BYTES", (-1, 1), True, 5, (1, 1), id="one-element"),
        pytest.param("BYTES", (-1, 3), True, 5, "cannot fill it", id="element-for-three"),
    ],
)
def test_raw_bodies(datatype: str, shape: tuple[int, ...], batchable: bool, size: int, expected: Any) -> None:
    metadata = ModelMetadata("onnx", (TensorMetadata("x", datatype, shape),), ())
    if isinstance(expected, str):
        with pytest.raises(InvalidInput, match=expected):
            decode_raw_request(bytes(size), "m", None, metadata, batchable)
    else:
        (tensor,) = decode_raw_request(bytes(size), "m", None, metadata, batchable).inputs
        assert tensor.shape == tensor.data.shape == expected


@pytest.mark.parametrize(("datatype", "shape", "data", "says"), BAD_TENSORS)
def test_bad_tensors(datatype: str, shape: Any, data: bytes, says: str) -> None:
    tensor = {"name": "x", "datatype": datatype, "shape": shape, "parameters": {"binary_data_size": len(data)}}
    head = orjson.dumps({"inputs": [tensor]})
    with pytest.raises(InvalidInput, match=says):
        decode_binary_request(head + data, len(head), "m")


scalars = st.none() | st.booleans() | st.integers(-5, 40) | st.floats() | st.text(max_size=3)


@given(st.binary(max_size=60), st.integers(1, 80))
def test_any_bytes(body: bytes, length: int) -> None:
    with contextlib.suppress(InvalidInput):
        decode_binary_request(body, length, "m")


@given(
    st.lists(
        st.tuples(DATATYPE, st.lists(st.integers(0, 3), max_size=3), scalars), min_size=1, max_size=3
    ),
    st.binary(max_size=60), st.integers(-2, 2), st.booleans(),
)  # fmt: skip
def test_any_sizes(tensors: list[Any], tail: bytes, off: int, view: bool) -> None:
    inputs = [
        {"name": f"x{index}", "datatype": datatype, "shape": shape, "parameters": {"binary_data_size": size}}
        for index, (datatype, shape, size) in enumerate(tensors)
    ]
    head = json.dumps({"inputs": inputs}).encode("utf-8", "surrogatepass")
    body = head + tail
    with contextlib.suppress(InvalidInput):
        request = decode_binary_request(memoryview(body) if view else body, len(head) + off, "m")
        for tensor in request.inputs:
            assert tensor.data.shape == tensor.shape
