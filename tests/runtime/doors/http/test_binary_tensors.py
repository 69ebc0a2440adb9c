"""The binary tensor data extension through a real process: every datatype, both ways, mixed with JSON, good and bad."""

from __future__ import annotations

import gzip
import struct
import subprocess
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import orjson
import pytest

from haizen_runtime.protocol.tensor_bytes import WIRE_TYPE_OF, array_from_bytes, bytes_from_array, narrowed, widened
from tests.runtime.tensor_cases import DATATYPES, SHAPES, json_values, values_of

LENGTH = "inference-header-content-length"
CLIENT = httpx.Client()


@pytest.fixture(scope="module", autouse=True)
def _one_client() -> Iterator[None]:
    """A client for all, since a new one for each costs more than most of these requests."""
    with CLIENT:
        yield


def described(name: str, datatype: str, array: Any) -> tuple[dict[str, Any], bytes]:
    data = bytes(bytes_from_array(array, datatype))
    tensor = {"name": name, "datatype": datatype, "shape": list(array.shape)}
    return {**tensor, "parameters": {"binary_data_size": len(data)}}, data


def in_json(name: str, datatype: str, array: Any) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": list(array.shape), "data": json_values(array)}


def post(
    runtime: Any, model: str, request: dict[str, Any] | bytes, tail: bytes = b"", length: Any = None, **headers: str
) -> httpx.Response:
    head = request if isinstance(request, bytes) else orjson.dumps(request)
    length = len(head) if length is None else length
    extra = {} if length is False else {LENGTH: str(length)}
    return CLIENT.post(
        f"{runtime.url}/v2/models/{model}/infer", content=head + tail, timeout=60,
        headers={"content-type": "application/octet-stream", **extra, **headers},
    )  # fmt: skip


def outputs_of(response: httpx.Response) -> dict[str, Any]:
    """Arrays by name, wherever they are in the answer."""
    assert response.status_code == 200, response.text
    length = int(response.headers.get(LENGTH, len(response.content)))
    position, arrays = length, {}
    for output in orjson.loads(response.content[:length])["outputs"]:
        shape = tuple(output["shape"])
        size = output.get("parameters", {}).get("binary_data_size")
        if size is None:
            values = output["data"]
            dtype = object if output["datatype"] == "BYTES" else WIRE_TYPE_OF[output["datatype"]]
            array = np.empty(len(values), dtype)
            array[:] = [value.encode() if isinstance(value, str) else value for value in values]
            arrays[output["name"]] = array.reshape(shape)
        else:
            end = position + size
            name = output["name"]
            arrays[name] = array_from_bytes(response.content, position, end, output["datatype"], shape, name)
            position = end
    assert position == len(response.content)
    return arrays


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("datatype", DATATYPES)
def test_tensors_come_back_as_they_went(models: Any, datatype: str, shape: tuple[int, ...]) -> None:
    model, array = datatype.lower(), values_of(datatype, shape)
    binary, tail = described("x", datatype, array)
    both = post(models, model, {"inputs": [binary], "parameters": {"binary_data_output": True}}, tail)
    assert both.headers["content-type"] == "application/octet-stream"
    assert np.array_equal(outputs_of(both)["y"], array)
    one = post(
        models, model, {"inputs": [binary], "outputs": [{"name": "y", "parameters": {"binary_data": True}}]}, tail
    )
    assert one.content == both.content
    readable = post(models, model, {"inputs": [binary]}, tail)
    assert readable.headers["content-type"] == "application/json"
    assert LENGTH not in readable.headers
    assert np.array_equal(outputs_of(readable)["y"], array)
    if datatype == "FP16":
        return  # has no form in a request's JSON
    wanted = {"inputs": [in_json("x", datatype, array)], "parameters": {"binary_data_output": True}}
    assert post(models, model, wanted, length=False).content == both.content
    wanted = {"inputs": [in_json("x", datatype, array)]}
    assert post(models, model, wanted).content == readable.content


def three(rows: int = 2) -> tuple[Any, Any, Any]:
    return values_of("FP32", (rows, 3)), values_of("BYTES", (rows, 1)), values_of("FP64", (rows, 5))


@pytest.mark.parametrize("ways", [(a, b, c) for a in "jb" for b in "jb" for c in "jb"], ids="".join)
def test_json_and_binary_mixed(models: Any, ways: tuple[str, ...]) -> None:
    arrays = dict(zip("abc", three(), strict=True))
    inputs, tail = [], b""
    for (name, array), way, datatype in zip(arrays.items(), ways, ("FP32", "BYTES", "FP64"), strict=True):
        if way == "j":
            inputs.append(in_json(name, datatype, array))
        else:
            tensor, data = described(name, datatype, array)
            inputs.append(tensor)
            tail += data
    outputs = [
        {"name": f"{name}2", "parameters": {"binary_data": way == "b"}} for name, way in zip("cab", ways, strict=True)
    ]
    for whole in (False, True):  # an output's own word is above the request's
        request = {"inputs": inputs, "outputs": outputs, "parameters": {"binary_data_output": whole}}
        found = outputs_of(post(models, "three", request, tail))
        assert list(found) == ["c2", "a2", "b2"]
        for name, array in arrays.items():
            assert np.array_equal(found[f"{name}2"], array), name


def test_bf16_travels_as_binary_only(models: Any, iris_model: Any) -> None:
    rows = widened(narrowed(np.array([[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]], np.float32)))
    tensor, tail = described("x", "BF16", rows)
    assert tensor["parameters"]["binary_data_size"] == 16
    assert (
        outputs_of(post(models, "iris", {"inputs": [tensor]}, tail))["output-0"].tolist()
        == iris_model.predict(rows).tolist()
    )
    refused = post(models, "iris", {"inputs": [in_json("x", "BF16", rows)]})
    assert (refused.status_code, "binary_data_size" in refused.json()["error"]) == (400, True)


@pytest.mark.parametrize("columns", [3, 50_000, 500_000])
def test_answers_of_any_size_come_whole(models: Any, columns: int) -> None:
    arrays = (
        np.arange(columns, dtype=np.float32)[None],
        values_of("BYTES", (1, 1)),
        np.arange(columns, dtype=float)[None],
    )
    parts = [
        described(name, kind, array) for name, kind, array in zip("abc", ("FP32", "BYTES", "FP64"), arrays, strict=True)
    ]
    request = {"inputs": [tensor for tensor, _ in parts], "parameters": {"binary_data_output": True}}
    with httpx.Client() as client:
        for _ in range(2):  # the second over the same connection: nothing was left behind
            head = orjson.dumps(request)
            answer = client.post(
                f"{models.url}/v2/models/three/infer", content=head + b"".join(data for _, data in parts),
                headers={LENGTH: str(len(head)), "accept-encoding": "identity"}, timeout=60,
            )  # fmt: skip
            found = outputs_of(answer)
            for name, array in zip("abc", arrays, strict=True):
                assert np.array_equal(found[f"{name}2"], array), name


@pytest.mark.parametrize("columns", [3, 50_000, 1_000_000])
def test_over_http2(models: Any, tmp_path: Path, columns: int) -> None:
    array = np.arange(columns, dtype=np.float32)[None]
    tensor, tail = described("x", "FP32", array)
    head = orjson.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}})
    command = ["curl", "--silent", "--http2-prior-knowledge", "--dump-header", str(tmp_path / "head"),
               "--data-binary", "@-", "--header", f"{LENGTH}: {len(head)}",
               "--header", "content-type: application/octet-stream", f"{models.url}/v2/models/fp32/infer"]  # fmt: skip
    done = subprocess.run(command, input=head + tail, capture_output=True, check=True, timeout=60)
    lines = dict(line.split(": ", 1) for line in (tmp_path / "head").read_text().splitlines() if ": " in line)
    assert int(lines["content-length"]) == len(done.stdout)
    assert done.stdout[int(lines[LENGTH]) :] == tail


@pytest.mark.parametrize(
    ("model", "body", "shape"),
    [
        pytest.param("fp32", np.arange(6, dtype=np.float32).tobytes(), [1, 6], id="one-row"),
        pytest.param("bytes", b"a whole picture", [1, 1], id="one-element"),
        pytest.param("iris", np.array([5.1, 3.5, 1.4, 0.2, 6.7, 3.0, 5.2, 2.3]).tobytes(), [2], id="rows-by-size"),
    ],
)
def test_raw_requests(models: Any, model: str, body: bytes, shape: list[int]) -> None:
    response = post(models, model, b"", body, 0)
    (output,) = outputs_of(response).values()
    assert list(output.shape) == shape
    if model == "iris":
        assert output.tolist() == [0, 2]
    else:
        assert bytes(bytes_from_array(output, model.upper()))[-len(body) :] == body


FOUR = {"name": "x", "datatype": "FP32", "shape": [1, 4], "parameters": {"binary_data_size": 16}}


@pytest.mark.parametrize(
    ("model", "request_", "tail", "length", "says"),
    [
        pytest.param("fp32", {"inputs": [FOUR]}, b"0" * 16, 9999, "9999, and the body has only", id="length-long"),
        pytest.param("fp32", {"inputs": [FOUR]}, b"0" * 16, 10, "not valid JSON", id="length-in-the-json"),
        pytest.param("fp32", {"inputs": [FOUR]}, b"0" * 16, "-3", "is not a number of bytes", id="length-negative"),
        pytest.param("fp32", {"inputs": [FOUR]}, b"0" * 16, "9" * 30, "is not a number of bytes", id="length-huge"),
        pytest.param("fp32", {"inputs": [FOUR]}, b"", False, "has no header Inference-Header", id="no-length"),
        pytest.param("fp32", {"inputs": [FOUR]}, b"0" * 16, False, "not valid JSON", id="no-length-but-bytes"),
        pytest.param("fp32", {"inputs": [FOUR]}, b"0" * 12, None, "is 16, and 12 bytes of the body", id="short"),
        pytest.param("fp32", {"inputs": [FOUR]}, b"0" * 17, None, "1 bytes that belong to no input", id="long"),
        pytest.param("fp32", {"inputs": [{**FOUR, "shape": [1, 5]}]}, b"0" * 16, None,
                     "FP32 data of shape [1, 5] has 20 bytes, found 16", id="shape"),
        pytest.param("fp32", {"inputs": [{**FOUR, "shape": [2**40, 2**40]}]}, b"0" * 16, None, "more elem", id="huge"),
        pytest.param("fp32", {"inputs": [{**FOUR, "shape": [0, 4], "parameters": {"binary_data_size": 0}}]}, b"", None,
                     "0 rows", id="no-rows"),
        pytest.param("fp32", {"inputs": [{**FOUR, "data": [1, 2, 3, 4]}]}, b"0" * 16, None, "both data and", id="both"),
        pytest.param("fp32", {"inputs": [{**FOUR, "parameters": {"binary_data_size": -1}}]}, b"", None,
                     "integer of 0 or more", id="size-negative"),
        pytest.param("fp32", {"inputs": [{**FOUR, "parameters": {"binary_data_size": True}}]}, b"0", None,
                     "integer of 0 or more", id="size-boolean"),
        pytest.param("fp32", {"inputs": [{**FOUR, "parameters": {"binary_data_size": "16"}}]}, b"0" * 16, None,
                     "integer of 0 or more", id="size-string"),
        pytest.param("fp32", {"inputs": [{**FOUR, "datatype": "FP64"}]}, b"0" * 16, None, "has 32 bytes", id="width"),
        pytest.param("fp64", {"inputs": [FOUR]}, b"0" * 16, None, "expects FP64", id="other-datatype"),
        pytest.param("fp32", {"inputs": [FOUR], "parameters": {"binary_data_output": 1}}, b"0" * 16, None,
                     "binary_data_output must be true or false", id="flag"),
        pytest.param("fp32", {"inputs": [FOUR], "outputs": [{"name": "y", "parameters": {"binary_data": "yes"}}]},
                     b"0" * 16, None, "binary_data must be true or false", id="output-flag"),
        pytest.param("bytes", {"inputs": [{**FOUR, "datatype": "BYTES", "shape": [1, 1]}]},
                     struct.pack("<I", 99) + b"0" * 12, None, "element 0 has 99 bytes, 12 are left", id="string-long"),
        pytest.param("bytes", {"inputs": [{**FOUR, "datatype": "BYTES", "shape": [1, 4]}]},
                     b"\1\0\0\0a\1\0\0\0b" + bytes(6), None, "before BYTES element 3", id="string-cut"),
        pytest.param("bytes", {"inputs": [{**FOUR, "datatype": "BYTES", "shape": [1, 1]}]},
                     struct.pack("<I", 4) + b"0" * 12, None, "8 bytes are left", id="string-short"),
        pytest.param("fp32", b"", b"0" * 15, 0, "found 15", id="raw-uneven"),
        pytest.param("three", b"", b"0" * 16, 0, "has 3 inputs", id="raw-inputs"),
        pytest.param("iris", b"", b"0" * 33, 0, "found 33", id="raw-rows"),
    ],
)  # fmt: skip
def test_bad_requests(models: Any, model: str, request_: Any, tail: bytes, length: Any, says: str) -> None:
    response = post(models, model, request_, tail, length)
    assert response.status_code == 400
    assert says in response.json()["error"]


@pytest.mark.parametrize(
    ("encoding", "compress", "expand"),
    [
        pytest.param("gzip", gzip.compress, gzip.decompress, id="gzip"),
        pytest.param("deflate", zlib.compress, zlib.decompress, id="deflate"),
    ],
)
def test_compressed_both_ways(models: Any, encoding: str, compress: Any, expand: Any) -> None:
    for columns in (1_000, 100_000):
        array = np.arange(columns, dtype=np.float32)[None]
        tensor, tail = described("x", "FP32", array)
        head = orjson.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}})
        with httpx.stream(
            "POST", f"{models.url}/v2/models/fp32/infer", content=compress(head + tail), timeout=60,
            headers={LENGTH: str(len(head)), "content-encoding": encoding, "accept-encoding": f"br, {encoding};q=0.5"},
        ) as response:  # fmt: skip
            raw = b"".join(response.iter_raw())
        assert (response.headers["content-encoding"], response.headers["vary"]) == (encoding, "accept-encoding")
        plain = expand(raw)
        assert int(response.headers["content-length"]) == len(raw) < len(plain)
        assert plain[int(response.headers[LENGTH]) :] == tail


@pytest.mark.parametrize(
    ("columns", "accept", "encoding"),
    [
        pytest.param(10, "gzip", None, id="small"),
        pytest.param(1000, "identity", None, id="not-accepted"),
        pytest.param(1000, "gzip;q=0, deflate;q=0", None, id="refused"),
        pytest.param(1000, "*", "gzip", id="anything"),
        pytest.param(1000, "deflate, gzip", "gzip", id="gzip-first"),
        pytest.param(1000, "gzip;q=0.1, deflate", "deflate", id="weights"),
        pytest.param(1000, "gzip;q=x", None, id="broken-weight"),
    ],
)
def test_which_answers_are_compressed(models: Any, columns: int, accept: str, encoding: str | None) -> None:
    body = {"inputs": [in_json("x", "FP32", np.arange(columns, dtype=np.float32)[None])]}
    response = httpx.post(f"{models.url}/v2/models/fp32/infer", json=body, headers={"accept-encoding": accept})
    assert response.headers.get("content-encoding") == encoding
    assert response.json()["outputs"][0]["data"] == list(range(columns))
