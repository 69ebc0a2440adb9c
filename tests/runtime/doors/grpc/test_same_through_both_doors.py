"""One table of cases through gRPC, raw and typed, and through REST: the same tensors, the same class of error."""

from __future__ import annotations

from typing import Any

import grpc
import httpx
import numpy as np
import pytest

from haizen_runtime.protocol.dtypes import NUMPY_OF
from haizen_runtime.protocol.tensor_bytes import array_from_bytes
from haizen_runtime.protocol.typed_contents import FIELD_OF, NAME_OF
from tests.runtime.doors.grpc.conftest import PB, Client, infer_request
from tests.runtime.tensor_cases import DATATYPES, SHAPES, json_values, values_of

CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    404: grpc.StatusCode.NOT_FOUND,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    503: grpc.StatusCode.UNAVAILABLE,
}


def over_rest(url: str, model: str, datatype: str, shape: Any, data: Any) -> httpx.Response:
    body = {"inputs": [{"name": "x", "datatype": datatype, "shape": list(shape), "data": data}]}
    return httpx.post(f"{url}/v2/models/{model}/infer", json=body, timeout=60)


def output_array(answer: Any, datatype: str) -> Any:
    (output,) = answer.outputs
    assert (output.name, output.datatype) == ("y", datatype)
    if answer.raw_output_contents:
        content = answer.raw_output_contents[0]
        return array_from_bytes(content, 0, len(content), datatype, tuple(output.shape), "y")
    values = list(getattr(output.contents, NAME_OF[FIELD_OF[datatype]]))
    array = np.empty(len(values), NUMPY_OF[datatype])
    array[:] = values
    return array.reshape(tuple(output.shape))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("datatype", DATATYPES)
def test_tensors(identities: Any, identity_client: Client, datatype: str, shape: tuple[int, ...]) -> None:
    model, array = datatype.lower(), values_of(datatype, shape)
    raw = identity_client.infer(model, datatype, array)
    assert np.array_equal(output_array(raw, datatype), array)
    assert bool(raw.raw_output_contents), "raw in, raw out"
    if datatype == "FP16":
        return  # has neither a typed field nor a form in JSON
    typed = identity_client.infer(model, datatype, array, raw=False)
    assert np.array_equal(output_array(typed, datatype), array)
    assert not typed.raw_output_contents
    (output,) = over_rest(identities.url, model, datatype, shape, json_values(array)).json()["outputs"]
    assert (output["name"], output["datatype"], tuple(output["shape"])) == ("y", datatype, shape)
    back = [value.encode() for value in output["data"]] if datatype == "BYTES" else output["data"]
    assert np.array_equal(np.array(back, NUMPY_OF[datatype]).reshape(shape), array)


@pytest.mark.parametrize(
    ("model", "datatype", "shape", "data", "status", "says"),
    [
        pytest.param("rose", "FP32", [1, 1], [1.0], 404, "rose does not exist", id="unknown-model"),
        pytest.param("fp32", "FP64", [1, 1], [1.0], 400, "expects FP32", id="other-datatype"),
        pytest.param("fp32", "FP8", [1, 1], [1.0], 400, "datatype FP8", id="unknown-datatype"),
        pytest.param("fp32", "", [1, 1], [1.0], 400, "datatype", id="no-datatype"),
        pytest.param("fp32", "FP32", [1, 1, 1], [1.0], 400, "expects", id="rank"),
        pytest.param("fp32", "FP32", [1, 2], [1.0], 400, "needs 2 elements", id="too-few"),
        pytest.param("fp32", "FP32", [1, 1], [1.0, 2.0], 400, "needs 1 element", id="too-many"),
        pytest.param("fp32", "FP32", [-1, 1], [1.0], 400, "integers of 0 or more", id="negative-size"),
        pytest.param("fp32", "FP32", [2**40, 2**40], [1.0], 400, "more elements", id="huge-shape"),
        pytest.param("fp32", "FP32", [0, 1], [], 400, "0 rows", id="no-rows"),
        pytest.param("int8", "INT8", [1, 1], [300], 400, "300 does not fit into INT8", id="int8-range"),
        pytest.param("uint16", "UINT16", [1, 1], [70000], 400, "70000 does not fit into UINT16", id="uint16-range"),
        pytest.param("fp16", "FP16", [1, 1], [], 400, "FP16", id="fp16-without-raw"),
        pytest.param("bytes", "BYTES", [1, 2], ["a"], 400, "needs 2 elements", id="strings-missing"),
    ],
)
def test_errors(
    identities: Any, identity_client: Client,
    model: str, datatype: str, shape: list[int], data: list[Any], status: int, says: str,
) -> None:  # fmt: skip
    answer = over_rest(identities.url, model, datatype, shape, data)
    assert (answer.status_code, says in answer.json()["error"]) == (status, True), answer.text
    message = PB.ModelInferRequest(model_name=model)
    tensor = message.inputs.add(name="x", datatype=datatype, shape=shape)
    field = NAME_OF[FIELD_OF.get(datatype, 6)]
    getattr(tensor.contents, field).extend([each.encode() if isinstance(each, str) else each for each in data])
    with pytest.raises(grpc.RpcError) as caught:
        identity_client.call("ModelInfer", message)
    assert (caught.value.code(), says in caught.value.details()) == (CODES[status], True), caught.value.details()


@pytest.mark.parametrize(
    ("change", "status", "says"),
    [
        pytest.param({"inputs": []}, 400, "at least one input", id="no-inputs"),
        pytest.param({"names": ["x", "x"]}, 400, "given twice", id="twice"),
        pytest.param({"names": ["z"]}, 400, "does not exist; the model takes x", id="unknown-input"),
        pytest.param({"names": [""]}, 400, "must have a name", id="no-name"),
        pytest.param({"outputs": ["q"]}, 400, '"q" does not exist', id="unknown-output"),
        pytest.param({"version": "7"}, 404, "no version 7", id="unknown-version"),
        pytest.param({"parameters": {"priority": -1}}, 400, "priority", id="negative-priority"),
    ],
)
def test_errors_of_the_request(
    identities: Any, identity_client: Client, change: dict[str, Any], status: int, says: str
) -> None:
    names = change.get("names", [] if "inputs" in change else ["x"])
    version = change.get("version", "")
    tensors = [{"name": name, "datatype": "FP32", "shape": [1, 1], "data": [1.0]} for name in names]
    body = {"inputs": tensors, "outputs": [{"name": name} for name in change.get("outputs", [])]}
    body["parameters"] = change.get("parameters", {})
    path = f"/v2/models/fp32/versions/{version}/infer" if version else "/v2/models/fp32/infer"
    answer = httpx.post(identities.url + path, json=body)
    assert (answer.status_code, says in answer.json()["error"]) == (status, True), answer.text
    message = PB.ModelInferRequest(model_name="fp32", model_version=version)
    for name in names:
        message.inputs.add(name=name, datatype="FP32", shape=[1, 1]).contents.fp32_contents.append(1)
    for name in change.get("outputs", []):
        message.outputs.add(name=name)
    for name, value in change.get("parameters", {}).items():
        message.parameters[name].int64_param = value
    with pytest.raises(grpc.RpcError) as caught:
        identity_client.call("ModelInfer", message)
    assert (caught.value.code(), says in caught.value.details()) == (CODES[status], True), caught.value.details()


def test_what_is_too_large(identities: Any, identity_client: Client) -> None:
    array = np.zeros((1, 1_100_000), np.float32)
    answer = over_rest(identities.url, "fp32", "FP32", array.shape, array.ravel().tolist())
    assert answer.status_code == 413
    for compression in (grpc.Compression.NoCompression, grpc.Compression.Gzip, grpc.Compression.Deflate):
        with pytest.raises(grpc.RpcError) as caught:
            identity_client.infer("fp32", "FP32", array, compression=compression)
        assert caught.value.code() is CODES[413]
        assert "40000" in caught.value.details()
    array = np.arange(900_000, dtype=np.float32).reshape(1, -1)
    assert np.array_equal(output_array(identity_client.infer("fp32", "FP32", array), "FP32"), array)


def test_bf16_is_a_number_to_models(iris_client: Client, iris_model: Any) -> None:
    from haizen_runtime.protocol.tensor_bytes import narrowed, widened

    rows = widened(narrowed(np.array([[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]], np.float32)))
    answer = iris_client.infer("iris", "BF16", rows)
    assert np.frombuffer(answer.raw_output_contents[0], np.int64).tolist() == iris_model.predict(rows).tolist()


def test_requests_of_all_kinds_share_batches(identities: Any, identity_client: Client) -> None:
    arrays = [np.full((1 + index % 3, 2), index, np.float32) for index in range(40)]
    method = identity_client.channel.unary_unary(
        "/inference.GRPCInferenceService/ModelInfer",
        PB.ModelInferRequest.SerializeToString,
        PB.ModelInferResponse.FromString,
    )
    futures = [method.future(infer_request("fp32", "FP32", array, raw=index % 2 == 0), timeout=60)
               for index, array in enumerate(arrays)]  # fmt: skip
    for future, array in zip(futures, arrays, strict=True):
        assert np.array_equal(output_array(future.result(), "FP32"), array)
