"""Our reader and writer of protobuf against google's classes: the same messages, and the same bytes refused."""

from __future__ import annotations

import contextlib
from typing import Any

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
from google.protobuf.message import DecodeError
from hypothesis import example, given, settings
from hypothesis import strategies as st

from haizen_runtime.protocol.dtypes import NUMPY_OF
from haizen_runtime.protocol.errors import InvalidInput, MalformedMessage
from haizen_runtime.protocol.messages import InferenceRequest, InferenceResponse, Tensor
from haizen_runtime.protocol.tensor_bytes import array_from_bytes, bytes_from_array, narrowed, widened
from haizen_runtime.protocol.typed_contents import FIELD_OF, NAME_OF, packed_varints, varints
from haizen_runtime.protocol.v2_proto import decode_request, encode_response, read_request
from haizen_runtime.protocol.wire import bytes_field, read_fields, text_field, varint
from tests.runtime.protobufs import classes

PB = classes()
timeless = settings(deadline=None)  # a busy machine is no reason to fail
shapes = arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
names = st.text(min_size=1, max_size=8).filter(lambda text: text.isprintable())


def tensors_of(datatype: str) -> st.SearchStrategy[Any]:
    if datatype == "BYTES":
        return arrays.arrays(np.dtype(object), shapes, elements=st.binary(max_size=9), fill=st.nothing())
    if datatype == "BF16":
        return arrays.arrays(np.uint16, shapes).map(widened)
    return arrays.arrays(NUMPY_OF[datatype], shapes)


def same(one: Any, other: Any) -> bool:
    equal_nan = one.dtype.kind == "f"
    return one.dtype == other.dtype and one.shape == other.shape and np.array_equal(one, other, equal_nan=equal_nan)


def decode(data: bytes) -> InferenceRequest:
    return decode_request(data, read_request(data, 0, len(data)))


def request_message(datatype: str, array: Any, raw: bool) -> Any:
    message = PB.ModelInferRequest(model_name="m")
    tensor = message.inputs.add(name="x", datatype=datatype, shape=array.shape)
    if raw:
        message.raw_input_contents.append(bytes(bytes_from_array(array, datatype)))
    else:
        getattr(tensor.contents, NAME_OF[FIELD_OF[datatype]]).extend(array.ravel().tolist())
    return message


@pytest.mark.parametrize("raw", [pytest.param(True, id="raw"), pytest.param(False, id="typed")])
@pytest.mark.parametrize("datatype", sorted(NUMPY_OF))
@timeless
@given(data=st.data())
def test_requests_are_read_as_google_wrote_them(datatype: str, raw: bool, data: Any) -> None:
    if not raw and datatype not in FIELD_OF:
        return
    array = data.draw(tensors_of(datatype))
    request = decode(request_message(datatype, array, raw).SerializeToString())
    assert (request.inputs[0].name, request.inputs[0].datatype, request.inputs[0].shape) == ("x", datatype, array.shape)
    assert same(request.inputs[0].data, array)


@pytest.mark.parametrize("raw", [pytest.param(True, id="raw"), pytest.param(False, id="typed")])
@pytest.mark.parametrize("datatype", sorted(NUMPY_OF))
@timeless
@given(data=st.data())
def test_answers_are_read_by_google_as_we_wrote_them(datatype: str, raw: bool, data: Any) -> None:
    array = data.draw(tensors_of(datatype))
    tensor = Tensor("y", datatype, array.shape, array)
    answer = PB.ModelInferResponse.FromString(b"".join(encode_response(InferenceResponse("m", "1", [tensor]), raw)))
    (output,) = answer.outputs
    assert (answer.model_name, answer.model_version, output.name, output.datatype) == ("m", "1", "y", datatype)
    assert tuple(output.shape) == array.shape
    if answer.raw_output_contents:
        assert raw or datatype not in FIELD_OF
        content = answer.raw_output_contents[0]
        assert same(array_from_bytes(content, 0, len(content), datatype, array.shape, "y"), array)
    else:
        assert not raw
        values = list(getattr(output.contents, NAME_OF[FIELD_OF[datatype]]))
        read = np.empty(len(values), NUMPY_OF[datatype])
        read[:] = values
        assert same(read.reshape(array.shape), array)


parameters = st.dictionaries(
    names,
    st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(max_size=9) | st.floats(allow_nan=False),
    max_size=3,
).filter(lambda found: not found.keys() & {"priority", "sequence_id"})


def add_parameters(target: Any, found: dict[str, Any]) -> None:
    for name, value in found.items():
        if isinstance(value, bool):
            target[name].bool_param = value
        elif isinstance(value, int):
            setattr(target[name], "int64_param" if value < 2**63 else "uint64_param", value)
        elif isinstance(value, float):
            target[name].double_param = value
        else:
            target[name].string_param = value


def read_parameters(target: Any) -> dict[str, Any]:
    return {name: getattr(value, value.WhichOneof("parameter_choice")) for name, value in target.items()}


@timeless
@given(parameters, parameters, parameters, names, names, st.text(max_size=9))
def test_parameters_ids_and_requested_outputs(
    of_request: dict[str, Any], of_input: dict[str, Any], of_output: dict[str, Any], model: str, name: str, mark: str
) -> None:
    message = PB.ModelInferRequest(model_name=model, model_version="3", id=mark)
    tensor = message.inputs.add(name=name, datatype="INT64", shape=[1])
    tensor.contents.int64_contents.append(5)
    output = message.outputs.add(name=name)
    add_parameters(message.parameters, of_request)
    add_parameters(tensor.parameters, of_input)
    add_parameters(output.parameters, of_output)
    request = decode(message.SerializeToString())
    assert (request.model, request.version, request.id or "") == (model, "3", mark)
    assert (request.parameters or {}) == of_request
    assert (request.inputs[0].parameters or {}) == of_input
    assert request.outputs is not None
    assert [(each.name, each.parameters or {}) for each in request.outputs] == [(name, of_output)]

    tensors = [Tensor(name, "INT64", (1,), np.array([5]), of_output)]
    pieces = encode_response(InferenceResponse(model, "3", tensors, mark, of_request), False)
    answer = PB.ModelInferResponse.FromString(b"".join(pieces))
    assert (answer.id, read_parameters(answer.parameters)) == (mark, of_request)
    assert read_parameters(answer.outputs[0].parameters) == of_output


@st.composite
def damaged_requests(draw: Any) -> bytes:
    """Messages that google wrote, with some of their bytes replaced, repeated or left out."""
    datatype = draw(st.sampled_from(sorted(FIELD_OF)))
    message = request_message(datatype, draw(tensors_of(datatype)), draw(st.booleans()))
    add_parameters(message.parameters, draw(parameters))
    data = bytearray(message.SerializeToString())
    for _ in range(draw(st.integers(1, 3))):
        position = draw(st.integers(0, len(data)))
        data[position : position + draw(st.integers(0, 2))] = draw(st.binary(max_size=3))
    return bytes(data)


@timeless
@given(st.binary(max_size=60) | damaged_requests())
@example(b"\x0b\x0c")  # an empty group
@example(b"\x0b\x0b\x0c\x0c")
@example(b"\x0b\x14")  # closed by another number
@example(b"\x0a\x01\xff")  # no UTF-8
@example(b"\x08\x01")  # the model's name as a number: an unknown field
@example(b"\x38" + b"\xff" * 9 + b"\x01")
@example(b"\x38" + b"\xff" * 10)  # too long
@example(b"\x00\x00")  # field 0
def test_what_google_cannot_read_is_refused_and_only_that(data: bytes) -> None:
    try:
        PB.ModelInferRequest.FromString(data)
        readable = True
    except DecodeError:
        readable = False
    if readable:
        with contextlib.suppress(InvalidInput):
            message = read_request(data, 0, len(data))
            try:
                decode_request(data, message)
            except MalformedMessage as error:
                raise AssertionError(f"google reads it: {error.message}") from error
    else:
        with pytest.raises(InvalidInput):
            decode(data)


@timeless
@given(st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 300), max_size=80))
def test_many_varints_are_one_varint_after_the_other(values: list[int]) -> None:
    data = b"".join(varint(value) for value in values)
    assert varints(b"##" + data + b"##", 2, 2 + len(data)).tolist() == values
    assert packed_varints(np.array(values, np.uint64)) == data


@timeless
@given(arrays.arrays(np.int64, st.integers(0, 80)))
def test_negative_numbers_are_ten_bytes_long(values: Any) -> None:
    assert packed_varints(values) == b"".join(varint(value) for value in values.tolist())


@timeless
@given(st.binary(min_size=33, max_size=80))
def test_any_bytes_as_varints(data: bytes) -> None:
    with contextlib.suppress(MalformedMessage):
        assert varints(data, 0, len(data)).size >= 1


@timeless
@given(arrays.arrays(np.float32, st.integers(0, 40)))
def test_bf16_is_the_nearest_and_keeps_what_it_has(values: Any) -> None:
    rounded = widened(narrowed(values))
    assert same(widened(narrowed(rounded)), rounded)
    finite = np.isfinite(values) & (np.abs(values) < 3.3e38) & (np.abs(values) > 1e-37)
    assert np.all(np.abs(rounded[finite] - values[finite]) <= np.abs(values[finite]) * 2.0**-8)
    assert np.array_equal(np.isnan(rounded), np.isnan(values))


def test_unpacked_and_scattered_numbers_are_read() -> None:
    pieces = [varint(2 << 3) + varint(7), bytes_field(2, varint(8) + varint(-9)), varint(2 << 3) + varint(10)]
    tensor = text_field(1, "x") + text_field(2, "INT16") + varint(3 << 3) + varint(2) + varint(3 << 3) + varint(2)
    tensor += bytes_field(5, pieces[0]) + bytes_field(5, b"".join(pieces[1:]))
    data = text_field(1, "m") + bytes_field(5, tensor)
    assert PB.ModelInferRequest.FromString(data).inputs[0].contents.int_contents == [7, 8, -9, 10]
    assert decode(data).inputs[0].data.tolist() == [[7, 8], [-9, 10]]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        pytest.param({"shape": [3]}, "needs 3 elements, fp32_contents has 2", id="too-few"),
        pytest.param({"shape": [-1]}, "integers of 0 or more", id="negative-size"),
        pytest.param({"shape": [2**62, 2**62]}, "more elements than any request", id="huge-shape"),
        pytest.param({"shape": [1] * 200}, "at most 32", id="many-axes"),
        pytest.param({"datatype": "FP64"}, "belongs into fp64_contents, not fp32_contents", id="wrong-field"),
        pytest.param({"datatype": "FP16"}, "no typed contents", id="fp16-typed"),
        pytest.param({"datatype": "BF16"}, "no typed contents", id="bf16-typed"),
        pytest.param({"datatype": "FP8"}, "datatype FP8; expected one of", id="unknown-datatype"),
        pytest.param({"datatype": ""}, "no datatype", id="no-datatype"),
        pytest.param({"name": ""}, "must have a name", id="no-name"),
    ],
)
def test_typed_tensors_that_are_wrong(change: dict[str, Any], says: str) -> None:
    fields = {"name": "x", "datatype": "FP32", "shape": [2], **change}
    message = PB.ModelInferRequest(model_name="m")
    message.inputs.add(**fields).contents.fp32_contents.extend([1, 2])
    with pytest.raises(InvalidInput, match=says):
        decode(message.SerializeToString())


@pytest.mark.parametrize(
    ("datatype", "raws", "says"),
    [
        pytest.param("FP32", [b"1234567"], "of shape \\[2\\] has 8 bytes, found 7", id="too-short"),
        pytest.param("FP32", [b"123456789"], "found 9", id="too-long"),
        pytest.param("FP32", [b"12345678", b""], "number of inputs \\(1\\)", id="too-many"),
        pytest.param("BYTES", [b"\1\0\0\0a"], "do not fit into 5 bytes", id="strings-missing"),
        pytest.param("BYTES", [b"\1\0\0\0a\1\0\0"], "ends before BYTES element 1", id="length-cut"),
        pytest.param("BYTES", [b"\1\0\0\0a\2\0\0\0b"], "element 1 has 2 bytes, 1 are left", id="string-cut"),
        pytest.param("BYTES", [b"\1\0\0\0a\1\0\0\0bc"], "1 bytes are left", id="string-left"),
    ],
)
def test_raw_tensors_that_are_wrong(datatype: str, raws: list[bytes], says: str) -> None:
    message = PB.ModelInferRequest(model_name="m", raw_input_contents=raws)
    message.inputs.add(name="x", datatype=datatype, shape=[2])
    with pytest.raises(InvalidInput, match=says):
        decode(message.SerializeToString())


@pytest.mark.parametrize(
    ("datatype", "values", "says"),
    [
        pytest.param("INT8", [200], "200 does not fit into INT8", id="int8"),
        pytest.param("INT16", [-40000], "-40000 does not fit into INT16", id="int16"),
        pytest.param("UINT8", [256], "256 does not fit into UINT8", id="uint8"),
        pytest.param("UINT16", [1 << 20], "does not fit into UINT16", id="uint16"),
    ],
)
def test_numbers_that_do_not_fit(datatype: str, values: list[int], says: str) -> None:
    message = request_message(datatype, np.array(values), False)
    with pytest.raises(InvalidInput, match=says):
        decode(message.SerializeToString())


def test_contents_beside_raw_and_twice_the_same_input_are_refused() -> None:
    message = request_message("FP32", np.zeros(1, np.float32), True)
    message.inputs[0].contents.fp32_contents.append(1)
    with pytest.raises(InvalidInput, match="beside raw_input_contents"):
        decode(message.SerializeToString())
    message = request_message("FP32", np.zeros(1, np.float32), False)
    message.inputs.append(message.inputs[0])
    with pytest.raises(InvalidInput, match="given twice"):
        decode(message.SerializeToString())


@pytest.mark.parametrize("offset", range(8))
def test_raw_tensors_are_not_copied_where_they_are_aligned(offset: int) -> None:
    data = b"#" * offset + np.arange(9, dtype=np.float64).tobytes()
    array = array_from_bytes(data, offset, len(data), "FP64", (3, 3), "x")
    assert array.tolist() == np.arange(9).reshape(3, 3).tolist()
    assert array.flags.aligned
    assert (
        np.shares_memory(array, np.frombuffer(data, np.uint8))
        == np.frombuffer(data, np.float64, 9, offset).flags.aligned
    )


def test_fields_are_numbered_as_google_numbers_them() -> None:
    message = PB.RepositoryModelLoadRequest(repository_name="r", model_name="m")
    data = message.SerializeToString()
    assert [(each >> 3, data[first:stop]) for each, first, stop in read_fields(data, 0, len(data))] == [
        (1, b"r"), (2, b"m"),
    ]  # fmt: skip
