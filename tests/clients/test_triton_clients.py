"""Every call of PyPI's `tritonclient` through each of its four clients: what applies works, the rest says why not."""

from __future__ import annotations

import queue
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
from tritonclient import grpc as triton_grpc
from tritonclient import http as triton_http
from tritonclient.grpc import aio as triton_grpc_aio

from tests.clients.conftest import Server
from tests.clients.triton import NAMES, Triton, settled, values_of

DATATYPES = ("BOOL", "INT8", "INT32", "INT64", "UINT8", "UINT64", "FP16", "FP32", "FP64", "BYTES")


@pytest.fixture(params=NAMES)
async def triton(request: pytest.FixtureRequest, server: Server) -> AsyncIterator[Triton]:
    client = Triton(request.param, server.target)
    yield client
    await settled(client.client.close())


@pytest.mark.parametrize(
    ("method", "arguments", "answer"),
    [
        pytest.param("is_server_live", (), True, id="server-live"),
        pytest.param("is_server_ready", (), True, id="server-ready"),
        pytest.param("is_model_ready", ("iris",), True, id="model-ready"),
        pytest.param("is_model_ready", ("iris", "1"), True, id="version-ready"),
    ],
)
async def test_health(triton: Triton, method: str, arguments: tuple[str, ...], answer: bool) -> None:
    assert await triton.call(method, *arguments) is answer


@pytest.mark.parametrize("arguments", [("rose",), ("iris", "7")], ids=["model", "version"])
async def test_health_of_what_does_not_exist(triton: Triton, arguments: tuple[str, ...]) -> None:
    if triton.is_grpc:
        status, message = await triton.refused("is_model_ready", *arguments)
        assert (status, "rose does not exist" in message or "no version 7" in message) == ("StatusCode.NOT_FOUND", True)
    else:
        assert await triton.call("is_model_ready", *arguments) is False


async def test_server_metadata(triton: Triton) -> None:
    metadata = await triton.json("get_server_metadata")
    assert metadata["name"] == "haizen-runtime"
    assert {"binary_tensor_data", "model_configuration", "schedule_policy", "statistics"} <= set(metadata["extensions"])
    assert "sequence" not in metadata["extensions"]  # its parameters are read, but no model sees them


@pytest.mark.parametrize("version", ["", "1"], ids=["default", "named"])
async def test_model_metadata(triton: Triton, version: str) -> None:
    metadata = await triton.json("get_model_metadata", "fp32", version)
    assert (metadata["name"], metadata["versions"]) == ("fp32", ["1"] if not triton.is_grpc else [1])
    assert metadata["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, -1]}]
    assert metadata["outputs"] == [{"name": "y", "datatype": "FP32", "shape": [-1, -1]}]


async def test_model_config(triton: Triton) -> None:
    config = await triton.json("get_model_config", "fp32", "1")
    config = config["config"] if triton.is_grpc else config
    assert (config["name"], config["platform"]) == ("fp32", "onnx")
    assert config["max_batch_size"] > 1
    assert config["input"] == [{"name": "x", "data_type": "TYPE_FP32", "dims": [-1]}]
    assert config["dynamic_batching"]["default_queue_policy"]["allow_timeout_override"] is True
    assert config["instance_group"][0]["count"] >= 1


async def test_model_config_of_what_does_not_exist(triton: Triton) -> None:
    status, message = await triton.refused("get_model_config", "rose")
    assert status == ("StatusCode.NOT_FOUND" if triton.is_grpc else "404")
    assert "rose does not exist" in message


async def test_statistics(triton: Triton) -> None:
    """What N good and M bad requests add."""

    async def figures() -> dict[str, Any]:
        (stats,) = (await triton.json("get_inference_statistics", "int64", "1"))["model_stats"]
        return dict(stats)

    def count(stats: dict[str, Any], name: str) -> int:
        return int(stats["inference_stats"][name].get("count", 0))  # protobuf's JSON leaves zeros out

    good, bad, array = 3, 2, values_of("INT64")
    before = await figures()
    for _ in range(good):
        await triton.call("infer", "int64", [triton.input("x", "INT64", array)])
    for _ in range(bad):
        await triton.refused("infer", "int64", [triton.input("x", "FP64", np.zeros((1, 1)))])
    after = await figures()
    assert int(after["inference_count"]) - int(before.get("inference_count", 0)) == good * len(array)
    assert int(after["execution_count"]) - int(before.get("execution_count", 0)) == good
    for name, added in {
        "success": good, "fail": bad, "queue": good, "compute_input": good, "compute_infer": good,
        "compute_output": good, "cache_hit": 0,
    }.items():  # fmt: skip
        assert count(after, name) - count(before, name) == added, name
    assert int(after["inference_stats"]["compute_infer"]["ns"]) > 0
    assert int(after["last_inference"]) > 1_600_000_000_000
    sizes = {int(each["batch_size"]): int(each["compute_infer"]["count"]) for each in after["batch_stats"]}
    assert sum(sizes.values()) == int(after["execution_count"])
    assert sum(rows * batches for rows, batches in sizes.items()) == int(after["inference_count"])
    every = (await triton.json("get_inference_statistics"))["model_stats"]
    assert {"iris", "int64"} <= {each["name"] for each in every}


async def test_repository(triton: Triton) -> None:
    """Index, unload, refusal of what is unloaded, load, answers again."""

    async def states() -> dict[str, str]:
        index = await triton.json("get_model_repository_index")
        return {line["name"]: line["state"] for line in (index["models"] if triton.is_grpc else index)}

    array = values_of("INT32")
    assert (await states())["int32"] == "READY"
    await triton.call("unload_model", "int32", unload_dependents=False)
    assert (await states())["int32"] == "UNLOADED"
    status, message = await triton.refused("infer", "int32", [triton.input("x", "INT32", array)])
    assert (status, "not ready" in message) == ("StatusCode.UNAVAILABLE" if triton.is_grpc else "503", True)
    await triton.call("load_model", "int32")
    assert (await states())["int32"] == "READY"
    result = await triton.call("infer", "int32", [triton.input("x", "INT32", array)])
    np.testing.assert_array_equal(result.as_numpy("y"), array)


async def test_loading_from_the_request_is_refused(triton: Triton) -> None:
    """Models come from the server's own files: a client can replace neither a file nor the configuration."""
    for options in ({"config": "{}"}, {"config": "{}", "files": {"file:1/model.onnx": b"x"}}):
        status, message = await triton.refused("load_model", "int32", **options)
        assert (status in ("400", "StatusCode.INVALID_ARGUMENT"), "server's own files" in message) == (True, True)


@pytest.mark.parametrize("datatype", DATATYPES)
async def test_infer_of_every_datatype(triton: Triton, datatype: str) -> None:
    array = values_of(datatype)
    result = await triton.call("infer", datatype.lower(), [triton.input("x", datatype, array)])
    np.testing.assert_array_equal(result.as_numpy("y"), array)


@pytest.mark.parametrize("binary_out", [False, True], ids=["json-out", "binary-out"])
@pytest.mark.parametrize("binary_in", [False, True], ids=["json-in", "binary-in"])
@pytest.mark.parametrize("name", ["http", "http.aio"])
async def test_json_and_binary(server: Server, name: str, binary_in: bool, binary_out: bool) -> None:
    triton = Triton(name, server.target)
    tensor = triton.input("x", "FP64", server.features, binary_data=binary_in)
    wanted = [triton.output("output-0", binary_data=binary_out)]
    result = await triton.call("infer", "iris", [tensor], outputs=wanted, request_id="7")
    np.testing.assert_array_equal(result.as_numpy("output-0"), server.labels)
    assert result.get_response()["id"] == "7"
    assert ("data" in result.get_output("output-0")) is not binary_out
    await settled(triton.client.close())


async def test_all_that_a_request_can_carry(triton: Triton, server: Server) -> None:
    result = await triton.call(
        "infer", "iris", [triton.input("x", "FP64", server.features)], model_version="1",
        outputs=[triton.output("output-0")], request_id="abc", priority=1, timeout=60_000_000,
        headers={"x-request-id": "abc"}, parameters={"flag": True, "count": 3, "text": "x"},
    )  # fmt: skip
    np.testing.assert_array_equal(result.as_numpy("output-0"), server.labels)
    answer = result.get_response()
    assert (answer.id if triton.is_grpc else answer["id"]) == "abc"


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
async def test_compression(triton: Triton, server: Server, algorithm: str) -> None:
    tensor = triton.input("x", "FP64", server.features)
    result = await triton.call("infer", "iris", [tensor], **triton.compressed(algorithm))
    np.testing.assert_array_equal(result.as_numpy("output-0"), server.labels)


@pytest.mark.parametrize(
    ("model", "datatype", "shape", "http", "grpc", "says"),
    [
        pytest.param("rose", "FP32", (1, 1), "404", "NOT_FOUND", "rose does not exist", id="unknown-model"),
        pytest.param("fp32", "FP64", (1, 1), "400", "INVALID_ARGUMENT", "expects FP32", id="datatype"),
        pytest.param("fp32", "FP32", (1, 1, 1), "400", "INVALID_ARGUMENT", "expects", id="rank"),
        pytest.param("fp32", "FP32", (0, 1), "400", "INVALID_ARGUMENT", "0 rows", id="no-rows"),
        pytest.param("iris", "FP64", (1, 3), "400", "INVALID_ARGUMENT", "expects", id="columns"),
    ],
)
async def test_infer_of_what_is_wrong(
    triton: Triton, model: str, datatype: str, shape: tuple[int, ...], http: str, grpc: str, says: str
) -> None:
    array = np.zeros(shape, "f4" if datatype == "FP32" else "f8")
    status, message = await triton.refused("infer", model, [triton.input("x", datatype, array)])
    assert status == (f"StatusCode.{grpc}" if triton.is_grpc else http)
    assert says in message


async def test_async_infer_over_http(server: Server) -> None:
    client = triton_http.InferenceServerClient(server.target, concurrency=4)
    triton = Triton("http", server.target)
    handles = [client.async_infer("iris", [triton.input("x", "FP64", server.features[i : i + 1])]) for i in range(40)]
    labels = [int(handle.get_result(timeout=60).as_numpy("output-0")[0]) for handle in handles]
    assert labels == server.labels[:40].tolist()
    client.close()
    triton.client.close()


def test_bodies_made_and_read_by_hand(server: Server) -> None:
    """`generate_request_body` and `parse_response_body`, with which programs use an HTTP client of their own."""
    import httpx

    client = triton_http.InferenceServerClient
    tensor = triton_http.InferInput("x", list(server.features.shape), "FP64")
    tensor.set_data_from_numpy(server.features)
    body, length = client.generate_request_body([tensor])
    headers = {"inference-header-content-length": str(length), "content-type": "application/octet-stream"}
    answer = httpx.post(f"{server.url}/v2/models/iris/infer", content=body, headers=headers, timeout=60)
    header_length = answer.headers.get("inference-header-content-length")
    result = client.parse_response_body(answer.content, header_length=header_length and int(header_length))
    np.testing.assert_array_equal(result.as_numpy("output-0"), server.labels)


def test_async_infer_over_grpc(server: Server) -> None:
    client = triton_grpc.InferenceServerClient(server.target)
    triton = Triton("grpc", server.target)
    results: queue.Queue[Any] = queue.Queue()
    for index in range(40):
        tensor = triton.input("x", "FP64", server.features[index : index + 1])
        client.async_infer(
            "iris", [tensor], lambda result, error, index=index: results.put((index, result, error)), client_timeout=60
        )
    labels = {}
    for _ in range(40):
        index, result, error = results.get(timeout=60)
        assert error is None
        labels[index] = int(result.as_numpy("output-0")[0])
    assert [labels[index] for index in range(40)] == server.labels[:40].tolist()
    client.close()
    triton.client.close()


def test_stream_over_grpc(server: Server) -> None:
    """Answers and an error of one request, in order, on one stream."""
    results: queue.Queue[Any] = queue.Queue()
    with triton_grpc.InferenceServerClient(server.target) as client:
        client.start_stream(lambda result, error: results.put((result, error)))
        triton = Triton("grpc", server.target)
        for model in ("iris", "rose", "iris"):
            client.async_stream_infer(model, [triton.input("x", "FP64", server.features)], request_id=model)
        answers = [results.get(timeout=60) for _ in range(3)]
        client.stop_stream()
        triton.client.close()
    (first, none), (nothing, error), (second, _) = answers
    assert (none, nothing) == (None, None)
    assert "rose does not exist" in error.message()
    for result in (first, second):
        np.testing.assert_array_equal(result.as_numpy("output-0"), server.labels)


async def test_stream_over_grpc_aio(server: Server) -> None:
    triton = Triton("grpc.aio", server.target)

    async def requests() -> AsyncIterator[dict[str, Any]]:
        for index in range(5):
            tensor = triton.input("x", "FP64", server.features[index : index + 1])
            yield {"model_name": "iris", "inputs": [tensor], "request_id": str(index)}

    async with triton_grpc_aio.InferenceServerClient(server.target) as client:
        answers = [answer async for answer in client.stream_infer(requests())]
    assert [error for _, error in answers] == [None] * 5
    assert [int(result.as_numpy("output-0")[0]) for result, _ in answers] == server.labels[:5].tolist()
    await triton.client.close()


NOT_HERE = [
    ("get_trace_settings", ()),
    ("update_trace_settings", ("iris", {"trace_level": ["OFF"]})),
    ("get_log_settings", ()),
    ("update_log_settings", ({"log_info": True},)),
    ("get_system_shared_memory_status", ()),
    ("register_system_shared_memory", ("region", "/key", 64)),
    ("unregister_system_shared_memory", ("region",)),
    ("get_cuda_shared_memory_status", ()),
    ("register_cuda_shared_memory", ("region", b"aGFuZGxl", 0, 64)),
    ("unregister_cuda_shared_memory", ("region",)),
]


@pytest.mark.parametrize(("method", "arguments"), NOT_HERE, ids=[method for method, _ in NOT_HERE])
async def test_extensions_that_this_server_has_not(triton: Triton, method: str, arguments: tuple[Any, ...]) -> None:
    """Triton's own extensions: none is listed in the server's metadata, each call says that it does not exist."""
    status, message = await triton.refused(method, *arguments)
    assert status == ("StatusCode.UNIMPLEMENTED" if triton.is_grpc else "404")
    assert "No such" in message


async def test_tensors_in_shared_memory_are_refused(triton: Triton) -> None:
    tensor = triton.module.InferInput("x", [1, 1], "FP32")
    tensor.set_shared_memory("region", 4)
    status, message = await triton.refused("infer", "fp32", [tensor])
    assert status == ("StatusCode.INVALID_ARGUMENT" if triton.is_grpc else "400")
    assert message


def test_the_table_has_every_call() -> None:
    """A call that a new release of the client adds shows up here."""
    shown = {method for method, _ in NOT_HERE} | {
        "get_model_config", "get_inference_statistics",
        "is_server_live", "is_server_ready", "is_model_ready", "get_server_metadata", "get_model_metadata",
        "get_model_repository_index", "load_model", "unload_model", "infer", "async_infer", "close",
        "generate_request_body", "parse_response_body", "start_stream", "async_stream_infer", "stop_stream",
        "stream_infer", "register_plugin", "unregister_plugin", "plugin",
    }  # fmt: skip
    for module in (triton_http, triton_grpc, triton_grpc_aio):
        client = module.InferenceServerClient
        public = {name for name in dir(client) if not name.startswith("_") and callable(getattr(client, name))}
        assert public <= shown
