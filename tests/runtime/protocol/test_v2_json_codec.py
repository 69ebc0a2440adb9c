"""The Open Inference Protocol's JSON: what is read, what is refused, and in which words."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson
import pytest

from haizen_runtime.protocol.errors import InvalidInput
from haizen_runtime.protocol.messages import InferenceResponse, Tensor
from haizen_runtime.protocol.v2_json import decode_request, encode_response


def body(datatype: str, shape: Any, data: Any, **more: Any) -> bytes:
    tensor = {"name": "x", "datatype": datatype, "shape": shape, "data": data}
    return orjson.dumps({"inputs": [tensor], **more})


@pytest.mark.parametrize(
    ("datatype", "shape", "data", "expected"),
    [
        pytest.param("FP32", [2, 2], [1, 2.5, 3, 4], [[1, 2.5], [3, 4]], id="flat"),
        pytest.param("FP32", [2, 2], [[1, 2.5], [3, 4]], [[1, 2.5], [3, 4]], id="nested"),
        pytest.param("FP64", [], [7.5], 7.5, id="scalar"),
        pytest.param("FP64", [0, 4], [], np.empty((0, 4)), id="no-rows"),
        pytest.param("FP64", [2], [1.5, None], [1.5, np.nan], id="null-is-nan"),
        pytest.param("FP64", [1], [1e300], [1e300], id="large-double"),
        pytest.param("INT64", [2], [2**63 - 1, -(2**63)], [2**63 - 1, -(2**63)], id="int64-limits"),
        pytest.param("INT64", [2], [3.0, 4], [3, 4], id="integral-floats"),
        pytest.param("UINT64", [2], [2**64 - 1, 1], [2**64 - 1, 1], id="uint64-mix"),
        pytest.param("UINT8", [2], [0, 255], [0, 255], id="uint8-limits"),
        pytest.param("INT8", [2], [-128, 127], [-128, 127], id="int8-limits"),
        pytest.param("INT16", [1], [-32768], [-32768], id="int16"),
        pytest.param("INT32", [1], [2**31 - 1], [2**31 - 1], id="int32"),
        pytest.param("UINT16", [1], [65535], [65535], id="uint16"),
        pytest.param("UINT32", [1], [2**32 - 1], [2**32 - 1], id="uint32"),
        pytest.param("BOOL", [3], [True, 0, 1], [True, False, True], id="bool"),
        pytest.param("BYTES", [2], ["a", "é"], np.array([b"a", "é".encode()], dtype=object), id="strings"),
        pytest.param("BYTES", [1, 2], [["a", "b"]], np.array([[b"a", b"b"]], dtype=object), id="nested-strings"),
    ],
)
def test_reads(datatype: str, shape: list[int], data: Any, expected: Any) -> None:
    (tensor,) = decode_request(body(datatype, shape, data), "m").inputs
    assert tensor.datatype == datatype
    assert tensor.data.shape == tuple(shape)
    if datatype == "BYTES":
        assert tensor.data.tolist() == expected.tolist()
    else:
        np.testing.assert_array_equal(tensor.data, np.array(expected, dtype=tensor.data.dtype))


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        pytest.param(b"", "empty", id="empty"),
        pytest.param(b"{", "not valid JSON", id="broken"),
        pytest.param(b"[]", "must be a JSON object", id="list"),
        pytest.param(b"\xef\xbb\xbf{}", "BOM", id="byte-order-mark"),
        pytest.param(b'{"inputs": [{"name": "\\ud800"}]}', "surrogate", id="lone-surrogate"),
        pytest.param(b'{"inputs": [NaN]}', "not valid JSON", id="nan-literal"),
        pytest.param(b'{"a": ' + b"[" * 120 + b"]" * 120 + b"}", "deeper than 100", id="deep"),
        pytest.param(b"[" * 5000, "deeper than 100", id="deep-and-broken"),
        pytest.param(b"{}", '"inputs"', id="no-inputs"),
        pytest.param(b'{"inputs": []}', "at least one", id="inputs-empty"),
        pytest.param(b'{"inputs": [1]}', r"inputs\[0\] must be an object", id="input-not-object"),
        pytest.param(b'{"inputs": [{"shape": [1]}]}', "must have a name", id="no-name"),
        pytest.param(body("FP31", [1], [1]), 'Input "x": datatype FP31; expected one of BOOL', id="datatype"),
        pytest.param(body("FP32", [1, -1], [1]), "0 or more, found -1", id="negative-dimension"),
        pytest.param(body("FP32", [1.5], [1]), "integers", id="fractional-dimension"),
        pytest.param(body("FP32", [True], [1]), "integers", id="boolean-dimension"),
        pytest.param(body("FP32", None, [1]), "shape must be a list", id="no-shape"),
        pytest.param(body("FP32", [1] * 40, [1]), "at most 32", id="rank"),
        pytest.param(body("FP32", [2**40, 2**40], [1]), "more elements than any", id="product-overflow"),
        pytest.param(body("FP32", [2, 2], [1, 2, 3]), r"shape \[2, 2\] needs 4 elements, data has 3", id="too-few"),
        pytest.param(body("FP32", [2], [[1, 2], [3]]), "not of equal length", id="ragged"),
        pytest.param(body("FP32", [1], 5), "data must be a list", id="data-not-list"),
        pytest.param(body("FP32", [1], ["1"]), 'must be numbers, found the string "1"', id="string-as-number"),
        pytest.param(body("FP32", [1], [{}]), "found an object", id="object-as-number"),
        pytest.param(body("FP32", [1], [1e39]), "does not fit into FP32", id="float-overflow"),
        pytest.param(body("FP16", [1], [1]), "FP16 data cannot be sent as JSON", id="fp16"),
        pytest.param(body("INT32", [1], [1.5]), "must be integers, found 1.5", id="fraction-as-integer"),
        pytest.param(body("INT32", [1], [None]), "must be integers, found null", id="null-as-integer"),
        pytest.param(body("INT8", [1], [128]), r"128 does not fit into INT8 \(-128 to 127\)", id="int8-overflow"),
        pytest.param(body("UINT8", [1], [-1]), "-1 does not fit into UINT8", id="negative-unsigned"),
        pytest.param(b'{"inputs":[{"name":"x","datatype":"INT64","shape":[1],"data":[1e25]}]}', "integers", id="1e25"),
        pytest.param(body("BOOL", [1], [2]), "BOOL data must be", id="two-as-bool"),
        pytest.param(body("BYTES", [1], [1]), "BYTES data must be strings, found 1", id="number-as-string"),
        pytest.param(body("FP32", [1], [1], id=5), '"id" to be a string', id="id"),
        pytest.param(body("FP32", [1], [1], parameters=[1]), "parameters must be an object", id="parameters"),
        pytest.param(body("FP32", [1], [1], parameters={"a": {}}), 'parameter "a"', id="nested-parameter"),
        pytest.param(body("FP32", [1], [1], parameters={"priority": -1}), "priority", id="priority"),
        pytest.param(body("FP32", [1], [1], outputs=5), '"outputs" to be a list', id="outputs"),
        pytest.param(body("FP32", [1], [1], outputs=[{}]), r"outputs\[0\]", id="output-without-name"),
        pytest.param(
            orjson.dumps({"inputs": [{"name": "x", "datatype": "BOOL", "shape": [0], "data": []}] * 2}),
            'Input "x" is given twice', id="same-name-twice",
        ),
    ],
)  # fmt: skip
def test_refuses(raw: bytes, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        decode_request(raw, "m")


def test_brackets_inside_strings_are_not_depth() -> None:
    raw = body("BYTES", [1], ["[" * 200])
    assert decode_request(raw, "m").inputs[0].data[0] == b"[" * 200


def test_reads_id_parameters_and_wanted_outputs() -> None:
    raw = body(
        "FP32", [1], [1], id="a", outputs=[{"name": "y"}],
        parameters={"priority": 2, "sequence_id": 7, "sequence_start": True},
    )  # fmt: skip
    request = decode_request(raw, "m", "3")
    assert (request.id, request.version, request.priority) == ("a", "3", 2)
    assert request.outputs is not None
    assert [output.name for output in request.outputs] == ["y"]
    assert request.sequence is not None
    assert (request.sequence.id, request.sequence.start, request.sequence.end) == (7, True, False)


@pytest.mark.parametrize(
    ("array", "datatype", "data"),
    [
        pytest.param(np.array([[1, 2]], dtype=np.int64), "INT64", [1, 2], id="integers-flat"),
        pytest.param(np.array([0.1], dtype=np.float32), "FP32", [0.1], id="shortest-float"),
        pytest.param(np.array([np.nan, np.inf, 1.0]), "FP64", [None, None, 1.0], id="nan-and-infinity-are-null"),
        pytest.param(np.arange(200, dtype=np.float64), "FP64", list(range(200)), id="large"),
        pytest.param(np.array([b"a", "é".encode()], dtype=object), "BYTES", ["a", "é"], id="strings"),
        pytest.param(np.array([True]), "BOOL", [True], id="bool"),
        pytest.param(np.empty((0, 3), dtype=np.float32), "FP32", [], id="no-rows"),
        pytest.param(np.arange(200).reshape(20, 10).T, "INT64", np.arange(200).reshape(20, 10).T.ravel().tolist(),
                     id="transposed"),
    ],
)  # fmt: skip
def test_writes(array: Any, datatype: str, data: list[Any]) -> None:
    answer = orjson.loads(
        encode_response(InferenceResponse("m", "1", [Tensor("y", datatype, array.shape, array)], "i"))
    )
    assert answer == {
        "model_name": "m",
        "model_version": "1",
        "id": "i",
        "outputs": [{"name": "y", "datatype": datatype, "shape": list(array.shape), "data": data}],
    }
