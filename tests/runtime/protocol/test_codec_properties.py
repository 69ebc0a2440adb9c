"""Whatever comes over the wire is either a request or an InvalidInput; what is written can be read back."""

from __future__ import annotations

import contextlib
from typing import Any

import hypothesis.extra.numpy as arrays
import numpy as np
import orjson
from hypothesis import given
from hypothesis import strategies as st

from haizen_runtime.protocol.dtypes import NUMPY_OF, array_from_json, few_from_json
from haizen_runtime.protocol.errors import InvalidInput
from haizen_runtime.protocol.messages import InferenceResponse, ModelMetadata, Tensor, TensorMetadata
from haizen_runtime.protocol.shapes import checked_shape, element_count, is_shape_of
from haizen_runtime.protocol.tensor_bytes import array_from_bytes, few_from_bytes
from haizen_runtime.protocol.v1_json import decode_request as decode_v1
from haizen_runtime.protocol.v2_json import decode_request as decode_v2
from haizen_runtime.protocol.v2_json import encode_response

METADATA = ModelMetadata("sklearn", (TensorMetadata("input-0", "FP64", (-1, 2)),), (), True, True)
scalars = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=5)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
)
NUMERIC = sorted(set(NUMPY_OF) - {"BYTES", "FP16", "BF16"})


def dump(value: Any) -> bytes:
    import json

    return json.dumps(value).encode("utf-8", "surrogatepass")


@given(st.binary(max_size=200))
def test_any_bytes(raw: bytes) -> None:
    with contextlib.suppress(InvalidInput):
        decode_v2(raw, "m")
    with contextlib.suppress(InvalidInput):
        decode_v1(raw, "m", METADATA)


@given(values, values, st.sampled_from([*NUMPY_OF, "X"]) | values, values)
def test_any_tensor(shape: Any, data: Any, datatype: Any, extra: Any) -> None:
    tensor = {"name": "x", "shape": shape, "data": data, "datatype": datatype, "parameters": extra}
    with contextlib.suppress(InvalidInput):
        decode_v2(dump({"inputs": [tensor], "parameters": extra, "outputs": extra}), "m")


@given(st.lists(st.integers(0, 3), max_size=3), values, st.sampled_from(sorted(NUMPY_OF)))
def test_any_data_has_the_promised_shape_and_type(shape: list[int], data: Any, datatype: str) -> None:
    with contextlib.suppress(InvalidInput):
        raw = dump({"inputs": [{"name": "x", "shape": shape, "data": data, "datatype": datatype}]})
        (tensor,) = decode_v2(raw, "m").inputs
        assert tensor.data.shape == tuple(shape)
        assert tensor.data.dtype == NUMPY_OF[datatype]


EDGES = st.sampled_from([0.0, -0.0, 1e-46, 1e39, 3.4028235677973366e38, -(2.0**31), 2**31, -(2**63), 2**63, True, 1.5])


@given(
    st.lists(scalars | EDGES, max_size=70) | st.lists(st.floats(), max_size=70) | st.lists(st.integers(), max_size=70),
    st.sampled_from(sorted(NUMPY_OF)),
)
def test_a_few_numbers_are_read_as_a_closer_look_reads_them(data: list[Any], datatype: str) -> None:
    few = few_from_json(data, datatype)
    if few is not None:
        looked_at = array_from_json(data, datatype, "x")
        assert few.dtype == looked_at.dtype
        assert few.tobytes() == looked_at.tobytes()


@given(st.binary(max_size=600), st.integers(0, 5), st.sampled_from(sorted(NUMPY_OF)), arrays.array_shapes(min_dims=0))
def test_a_few_bytes_are_read_as_a_closer_look_reads_them(
    data: bytes, start: int, datatype: str, shape: tuple[int, ...]
) -> None:
    few = few_from_bytes(data, min(start, len(data)), len(data), datatype, shape)
    if few is not None:
        looked_at = array_from_bytes(data, start, len(data), datatype, shape, "x")
        assert (few.dtype, few.shape) == (looked_at.dtype, looked_at.shape)
        assert few.tobytes() == looked_at.tobytes()
        assert few.flags.aligned


@given(arrays.arrays(np.int32, arrays.array_shapes(max_side=3)) | arrays.arrays(np.float64, (1, 4)), st.integers(0, 8))
def test_a_few_bytes_are_recognised(array: Any, start: int) -> None:
    datatype = {4: "INT32", 8: "FP64"}[array.dtype.itemsize]
    data = bytes(start) + array.tobytes()
    few = few_from_bytes(data, start, len(data), datatype, array.shape)
    assert few is not None
    assert few.tobytes() == array.tobytes()


@given(st.integers(0, 12), values | st.lists(st.integers(-1, 4) | st.booleans(), max_size=40))
def test_a_shape_is_recognised_as_a_closer_look_does(count: int, shape: Any) -> None:
    if is_shape_of(count, shape, 32):
        assert element_count(checked_shape(shape, "x", 32), "x") == count
    else:
        with contextlib.suppress(InvalidInput):
            assert element_count(checked_shape(shape, "x", 32), "x") != count


@given(values)
def test_any_instances(instances: Any) -> None:
    with contextlib.suppress(InvalidInput):
        decode_v1(dump({"instances": instances}), "m", METADATA)


@given(st.data(), st.sampled_from(NUMERIC), arrays.array_shapes(min_dims=0, max_dims=3, max_side=4))
def test_round_trip(data: st.DataObject, datatype: str, shape: tuple[int, ...]) -> None:
    dtype = NUMPY_OF[datatype]
    elements = {"allow_nan": False, "allow_infinity": False} if dtype.kind == "f" else {}
    array = data.draw(arrays.arrays(dtype, shape, elements=arrays.from_dtype(dtype, **elements)))
    written = orjson.loads(encode_response(InferenceResponse("m", "1", [Tensor("x", datatype, shape, array)])))
    (tensor,) = decode_v2(orjson.dumps({"inputs": written["outputs"]}), "m").inputs
    np.testing.assert_array_equal(tensor.data, array)
