"""Large JSON bodies: whatever is in them, they are read as small ones are."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from haizen_runtime.protocol import v2_json
from haizen_runtime.protocol.errors import InvalidInput
from haizen_runtime.protocol.large_json import LARGE_BYTES, LargeReader

SPACE = " " * LARGE_BYTES


def body_of(data: str, datatype: str = "FP32", shape: str = "[3]", more: str = "") -> bytes:
    """A request of one input, that counts as large."""
    item = f'{{"name": "x", "shape": {shape}, "datatype": "{datatype}", "data": {data}{more}}}'
    return f'{{"id": "1", "inputs": [{item}]}}{SPACE}'.encode()


def asking(outputs: str, data: str = "[1, 2, 3]") -> bytes:
    """The same with `outputs`."""
    return body_of(data).replace(b'"inputs"', f'"outputs": {outputs}, "inputs"'.encode())


def read(body: bytes) -> Any:
    """The arrays and what is asked for, or the words of the error."""
    try:
        request = v2_json.decode_request(body, "m")
    except InvalidInput as error:
        return error.message
    arrays = [
        (each.name, each.datatype, each.shape, each.data.dtype, repr(each.data.tolist()), each.parameters)
        for each in request.inputs
    ]
    return arrays, request.outputs


def ordinarily(body: bytes) -> Any:
    """The same of a body without the space that makes it large."""
    return read(body.replace(SPACE.encode(), b""))


TAKEN = [
    pytest.param(body_of("[1.5, 2.5, -0.1]"), id="floats"),
    pytest.param(body_of("[1, 2.5, 3]"), id="integers among floats"),
    pytest.param(body_of("[1, 2, 3]"), id="integers for floats"),
    pytest.param(body_of("[1e39, 0, 0]"), id="too large for FP32"),
    pytest.param(body_of("[1, 2, 3]", "INT8"), id="small integers"),
    pytest.param(body_of("[1, 2, 300]", "INT8"), id="too large for INT8"),
    pytest.param(body_of("[1, -2, 3]", "UINT32"), id="negative for UINT32"),
    pytest.param(body_of("[1, 2, 18446744073709551615]", "UINT64"), id="the largest UINT64"),
    pytest.param(body_of("[9007199254740993, 2, 3]", "INT64"), id="an integer that no double holds"),
    pytest.param(body_of("[1, 2]"), id="too few"),
    pytest.param(body_of("[]", shape="[0]"), id="none"),
    pytest.param(body_of("[1, 2, 3]", "FP64", more=', "parameters": {"a": 1, "b": "c"}'), id="parameters"),
    pytest.param(asking('[{"name": "y"}, {"name": "z", "parameters": {"binary_data": false}}]'), id="outputs"),
    pytest.param(asking("[]"), id="an empty list of outputs"),
    pytest.param(asking("null"), id="null for outputs"),
]
LEFT = [
    pytest.param(body_of("[[1], [2], [3]]", shape="[3, 1]"), id="nested"),
    pytest.param(body_of("[1, [2, 3]]"), id="ragged"),
    pytest.param(body_of("[1, null, 3]"), id="null"),
    pytest.param(body_of("[1, true, 3]"), id="a boolean"),
    pytest.param(body_of('[1, "2", 3]'), id="a string"),
    pytest.param(body_of("[1, 2.0, 3]", "INT32"), id="an integer written as a float"),
    pytest.param(body_of("[1, 2.5, 3]", "INT32"), id="a float for an integer"),
    pytest.param(body_of("[true, false, true]", "BOOL"), id="BOOL"),
    pytest.param(body_of('["a", "b", "c"]', "BYTES"), id="BYTES"),
    pytest.param(body_of("[1, 2, 3]", "FP16"), id="FP16"),
    pytest.param(body_of("[1, 2, 3]", "FLOAT"), id="no datatype"),
    pytest.param(body_of("[1, 2, 3]", more=', "data": [4, 5, 6]'), id="data twice"),
    pytest.param(body_of("[1, 2, 3"), id="no JSON"),
    pytest.param(body_of("3"), id="a number"),
    pytest.param(b'{"inputs": 3}' + SPACE.encode(), id="inputs that are no list"),
    pytest.param(b'{"inputs": [3]}' + SPACE.encode(), id="an input that is no object"),
    pytest.param(b"[1, 2]" + SPACE.encode(), id="no object"),
    pytest.param(b'{"id": "1"}' + SPACE.encode(), id="no inputs"),
    pytest.param(body_of("[1, 2, 3]", more=', "parameters": {"a": {"b": 1}}'), id="an object in parameters"),
    pytest.param(asking("3"), id="outputs that are no list"),
    pytest.param(asking('{"name": "y"}'), id="outputs that are an object"),
    pytest.param(asking('["y"]'), id="an output that is no object"),
    pytest.param(asking('[{"name": ["y"]}]'), id="a list in an output"),
    pytest.param(asking('[{"name": "y", "parameters": {"a": {"b": 1}}}]'), id="an object in an output's parameters"),
    pytest.param(asking("[]", "[[1], 2, 3]"), id="nested beside outputs"),
    pytest.param(
        body_of("[1, 2, 3]", more=', "more": ' + '{"a":' * 101 + "1" + "}" * 101), id="deeper than bodies are"
    ),
    pytest.param(body_of("[1, 2, 3]", shape='[{"a": {"b": 1}}]'), id="objects in a shape"),
    pytest.param(b'{"id": ' + b"[" * 2000 + b"]" * 2000 + b"}" + SPACE.encode(), id="too deep"),
    pytest.param(b'{"inputs": ' + b'{"a":' * 2000 + b"1" + b"}" * 2001 + SPACE.encode(), id="objects too deep"),
]


@pytest.mark.parametrize("body", [*TAKEN, *LEFT])
def test_it_is_read_as_a_small_one(body: bytes) -> None:
    assert read(body) == ordinarily(body)


@pytest.mark.parametrize("body", TAKEN)
def test_numbers_are_read_straight_into_arrays(body: bytes) -> None:
    payload = LargeReader().read(body)
    assert payload is not None
    assert isinstance(payload["inputs"][0]["data"], np.ndarray)


@pytest.mark.parametrize("body", LEFT)
def test_what_is_no_flat_list_of_numbers_is_left_to_the_ordinary_way(body: bytes) -> None:
    assert LargeReader().read(body) is None


def test_a_body_that_cannot_be_read_is_not_in_the_way_of_the_next_ones() -> None:
    reader = LargeReader()
    for _ in range(3):
        assert reader.read(body_of("[1, 2, 3")) is None
        assert reader.read(body_of("[1, null, 3]")) is None
        payload = reader.read(body_of("[1, 2, 3]"))
        assert payload is not None
        assert payload["inputs"][0]["data"].tolist() == [1, 2, 3]


def test_arrays_outlive_the_body_that_comes_next() -> None:
    reader = LargeReader()
    first = reader.read(body_of("[1, 2, 3]"))
    second = reader.read(body_of("[4, 5, 6]"))
    assert first is not None
    assert second is not None
    assert first["inputs"][0]["data"].tolist() == [1, 2, 3]


@given(
    st.lists(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**70), 2**70), max_size=20),
    st.sampled_from(["FP32", "FP64", "INT8", "INT64", "UINT8", "UINT64", "BOOL"]),
)
def test_any_numbers_are_read_as_in_a_small_one(values: list[Any], datatype: str) -> None:
    body = body_of(json.dumps(values), datatype, f"[{len(values)}]")
    assert read(body) == ordinarily(body)
