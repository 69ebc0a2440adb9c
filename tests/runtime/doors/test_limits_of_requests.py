"""The limits of a request that are settings: what is within passes and what is past them is refused, at every door.

With one process and with two, of which each takes its limits from what the first was started with.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import pytest

from tests.runtime.conftest import SERVE, RuntimeProcess
from tests.runtime.doors.grpc.conftest import PB, SERVICE, Client, infer_request, target_of

LARGE = 20_000
"""Bytes from which v2's bodies are read by the second parser."""
DEPTH, DIMENSIONS, ATTRIBUTES, ID_BYTES, BODY_BYTES, PLAIN_BYTES = 6, 2, 6, 40, 30_000, 40_000
ROW = [5.1, 3.5, 1.4, 0.2]
V1, V2, GENERATE = "/v1/models/iris:predict", "/v2/models/iris/infer", "/v2/models/iris/generate"
EVENT = {"specversion": "1.0", "id": "1", "source": "a", "type": "b"}
STRUCTURED = {"content-type": "application/cloudevents+json"}
LENGTH = "inference-header-content-length"


@pytest.fixture(scope="module", params=[1, 2], ids=["one-process", "two-processes"])
def runtime(request: pytest.FixtureRequest, iris_dir: Path) -> Iterator[RuntimeProcess]:
    started = RuntimeProcess(
        [*SERVE, "--model_name=iris", f"--model_dir={iris_dir}", "--allow_code", f"--processes={request.param}",
         f"--max_json_depth={DEPTH}", f"--max_tensor_dimensions={DIMENSIONS}", f"--max_event_attributes={ATTRIBUTES}",
         f"--max_request_id_bytes={ID_BYTES}", f"--max_body_bytes={BODY_BYTES}",
         f"--max_decompressed_bytes={PLAIN_BYTES}"], {},
    )  # fmt: skip
    try:
        started.wait_ready()
        yield started
    finally:
        started.stop()


@pytest.fixture(scope="module")
def client(runtime: RuntimeProcess) -> Iterator[Client]:
    opened = Client(target_of(runtime))
    yield opened
    opened.channel.close()


def nested(levels: int, kind: str) -> Any:
    """A value of so many levels."""
    value: Any = 1
    for _ in range(levels):
        value = [value] if kind == "lists" else {"a": value}
    return value


def v2_input(shape: list[int], **more: Any) -> dict[str, Any]:
    return {"name": "x", "shape": shape, "datatype": "FP64", **more}


def v2_body(**more: Any) -> bytes:
    return json.dumps({"inputs": [v2_input([1, 4], data=ROW)], **more}).encode()


def plain(payload: Any, length: int = 0) -> tuple[bytes, dict[str, str]]:
    """A JSON body of at least that length, and no headers."""
    return json.dumps(payload).encode().ljust(length), {}


def v2_binary(shape: list[int], **more: Any) -> tuple[bytes, dict[str, str]]:
    """A body with its tensor behind the JSON, and the headers to that."""
    tail = np.array(ROW).tobytes()
    tensor = v2_input(shape, parameters={"binary_data_size": len(tail)})
    head = json.dumps({"inputs": [tensor], **more}).encode()
    return head + tail, {LENGTH: str(len(head))}


@pytest.mark.parametrize("kind", ["lists", "objects"])
@pytest.mark.parametrize(
    ("path", "make"),
    [
        pytest.param(V1, lambda deep: plain({"instances": [ROW], "more": deep}), id="v1"),
        pytest.param(V2, lambda deep: (v2_body(more=deep), {}), id="v2"),
        pytest.param(V2, lambda deep: (v2_body(more=deep).ljust(LARGE), {}), id="v2-large"),
        pytest.param(V2, lambda deep: v2_binary([1, 4], more=deep), id="v2-binary"),
        pytest.param("/invocations", lambda deep: (v2_body(more=deep), {}), id="invocations"),
        pytest.param(
            V1, lambda deep: (plain({**EVENT, "more": deep, "data": {"instances": [ROW]}})[0], STRUCTURED), id="event"
        ),
        pytest.param("/v2/repository/index", lambda deep: plain({"more": deep}), id="repository"),
    ],
)
def test_json_depth(runtime: RuntimeProcess, path: str, make: Any, kind: str) -> None:
    for levels, status in ((DEPTH, 200), (DEPTH + 1, 400)):
        body, headers = make(nested(levels - 1, kind))
        response = httpx.post(runtime.url + path, content=body, headers=headers)
        assert response.status_code == status, response.text
    assert response.json() == {"error": f"The JSON body nests deeper than {DEPTH} levels."}


@pytest.mark.parametrize("kind", ["lists", "objects"])
def test_json_depth_where_no_field_may_nest(runtime: RuntimeProcess, kind: str) -> None:
    errors = [
        httpx.post(runtime.url + GENERATE, json={"more": nested(levels - 1, kind)}).json()["error"]
        for levels in (DEPTH, DEPTH + 1)
    ]
    assert "nests" not in errors[0]
    assert errors[1] == f"The JSON body nests deeper than {DEPTH} levels."


@pytest.mark.parametrize(
    ("path", "make"),
    [
        pytest.param(V1, lambda array: plain({"instances": array.tolist()}), id="v1"),
        pytest.param(
            "/v1/models/iris/versions/1:predict", lambda array: plain({"inputs": array.tolist()}), id="columns"
        ),
        pytest.param(V2, lambda array: plain({"inputs": [v2_input(list(array.shape), data=ROW)]}), id="v2-flat"),
        pytest.param(
            V2, lambda array: plain({"inputs": [v2_input(list(array.shape), data=array.tolist())]}), id="v2-nested"
        ),
        pytest.param(
            V2, lambda array: plain({"inputs": [v2_input(list(array.shape), data=ROW)]}, LARGE), id="v2-large"
        ),
        pytest.param(V2, lambda array: v2_binary(list(array.shape)), id="v2-binary"),
        pytest.param(GENERATE, lambda array: plain({"input-0": array.tolist()}), id="generate"),
    ],
)
def test_tensor_dimensions(runtime: RuntimeProcess, path: str, make: Any) -> None:
    for dimensions, status in ((DIMENSIONS, 200), (DIMENSIONS + 1, 400)):
        shape = [1] * (dimensions - 1) + [4]
        body, headers = make(np.array(ROW).reshape(shape))
        response = httpx.post(runtime.url + path, content=body, headers=headers)
        assert response.status_code == status, response.text
    assert response.json()["error"].endswith(
        f"shape has {DIMENSIONS + 1} dimensions; at most {DIMENSIONS} are accepted."
    )


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
@pytest.mark.parametrize("raw", [True, False], ids=["raw", "typed"])
def test_tensor_dimensions_over_grpc(client: Client, raw: bool, stream: bool) -> None:
    within, past = (infer_request("iris", "FP64", np.array(ROW).reshape(shape), raw) for shape in ((1, 4), (1, 1, 4)))
    method = client.channel.stream_stream(
        SERVICE + "ModelStreamInfer", PB.ModelInferRequest.SerializeToString, PB.ModelStreamInferResponse.FromString
    )

    def infer(message: Any) -> Any:
        return list(method(iter([message]), timeout=60)) if stream else client.call("ModelInfer", message)

    assert infer(within)
    with pytest.raises(grpc.RpcError) as caught:
        infer(past)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert caught.value.details() == 'Input "x": shape has 3 dimensions; at most 2 are accepted.'


@pytest.mark.parametrize("mode", ["binary", "structured"])
def test_event_attributes(runtime: RuntimeProcess, mode: str) -> None:
    for count, status in ((ATTRIBUTES, 200), (ATTRIBUTES + 1, 400)):
        attributes = {**EVENT, **{f"x{number}": "1" for number in range(count - len(EVENT))}}
        if mode == "binary":
            headers, body = {f"ce-{name}": value for name, value in attributes.items()}, {"instances": [ROW]}
        else:
            headers, body = STRUCTURED, {**attributes, "data": {"instances": [ROW]}}
        response = httpx.post(runtime.url + V1, content=json.dumps(body), headers=headers)
        assert response.status_code == status, response.text
    assert response.json() == {"error": "The CloudEvent has 7 attributes; at most 6 are accepted."}


@pytest.mark.parametrize(("length", "comes_back"), [(ID_BYTES, True), (ID_BYTES + 1, False)])
def test_request_ids(runtime: RuntimeProcess, client: Client, length: int, comes_back: bool) -> None:
    request_id = "i" * length
    expected = request_id if comes_back else None
    for path, content in ((V2, v2_body()), ("/v9", b"")):
        response = httpx.post(runtime.url + path, content=content, headers={"x-request-id": request_id})
        assert response.headers.get("x-request-id") == expected
    message = infer_request("iris", "FP64", np.array([ROW]))
    _, call = client.whole("ModelInfer", message, metadata=[("x-request-id", request_id)])
    assert dict(call.initial_metadata()).get("x-request-id") == expected


@pytest.mark.parametrize(
    ("sent", "encoding", "status"),
    [
        pytest.param(BODY_BYTES, "identity", 200, id="plain"),
        pytest.param(BODY_BYTES + 1, "identity", 413, id="plain-too-large"),
        pytest.param(PLAIN_BYTES, "gzip", 200, id="decompressed"),
        pytest.param(PLAIN_BYTES + 1, "gzip", 413, id="decompressed-too-large"),
    ],
)
def test_decompressed_bytes(runtime: RuntimeProcess, sent: int, encoding: str, status: int) -> None:
    body = v2_body().ljust(sent)
    content = gzip.compress(body) if encoding == "gzip" else body
    response = httpx.post(runtime.url + V2, content=content, headers={"content-encoding": encoding})
    assert response.status_code == status, response.text
    if encoding == "gzip" and status == 413:
        assert response.json() == {"error": f"The request body is larger than {PLAIN_BYTES} bytes when decompressed."}


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
def test_decompressed_bytes_over_grpc(client: Client, stream: bool) -> None:
    method = client.channel.stream_stream(SERVICE + "ModelStreamInfer")

    def infer(message: bytes, compression: grpc.Compression) -> Any:
        if stream:
            return list(method(iter([message]), timeout=60, compression=compression))
        return client.raw(SERVICE + "ModelInfer", message, compression=compression)

    def message_of(size: int) -> bytes:
        """A request of just so many bytes, by its id."""
        message = infer_request("iris", "FP64", np.array([ROW]), id="i" * (size - 200))
        message.id += "i" * (size - message.ByteSize())
        assert message.ByteSize() == size
        return bytes(message.SerializeToString())

    assert infer(message_of(PLAIN_BYTES), grpc.Compression.Gzip)
    for size, compression in (
        (PLAIN_BYTES + 1, grpc.Compression.Gzip),
        (BODY_BYTES + 1, grpc.Compression.NoCompression),
    ):
        with pytest.raises(grpc.RpcError) as caught:
            infer(message_of(size), compression)
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
