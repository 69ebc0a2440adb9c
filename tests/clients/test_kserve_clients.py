"""Every call of PyPI's `kserve` inference clients, over REST in both protocols and over gRPC."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
import httpx
import numpy as np
import pytest
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest
from kserve.inference_client import RESTConfig
from kserve.protocol.infer_type import RequestedOutput

from tests.clients.conftest import Server


@pytest.fixture(params=["v1", "v2"])
async def rest(request: pytest.FixtureRequest) -> AsyncIterator[tuple[str, InferenceRESTClient]]:
    client = InferenceRESTClient(RESTConfig(protocol=request.param, retries=0))
    yield request.param, client
    await client.close()


@pytest.fixture
async def v2() -> AsyncIterator[InferenceRESTClient]:
    client = InferenceRESTClient(RESTConfig(protocol="v2", retries=0))
    yield client
    await client.close()


@pytest.fixture
async def over_grpc(server: Server) -> AsyncIterator[InferenceGRPCClient]:
    client = InferenceGRPCClient(server.target)
    yield client
    await client.close()


def request_of(server: Server, rows: int = 3, **fields: Any) -> InferRequest:
    features = server.features[:rows]
    tensor = InferInput("x", list(features.shape), "FP64")
    tensor.set_data_from_numpy(features, binary_data=fields.pop("binary", True))
    return InferRequest(model_name="iris", infer_inputs=[tensor], **fields)


class TestRest:
    async def test_is_server_live(self, rest: Any, server: Server) -> None:
        _, client = rest
        assert await client.is_server_live(server.url) is True

    async def test_is_server_ready(self, v2: InferenceRESTClient, server: Server) -> None:
        assert await v2.is_server_ready(server.url) is True

    async def test_is_model_ready(self, rest: Any, server: Server) -> None:
        _, client = rest
        assert await client.is_model_ready(server.url, "iris") is True

    async def test_is_model_ready_of_one_that_does_not_exist(self, rest: Any, server: Server) -> None:
        protocol, client = rest
        if protocol == "v2":
            assert await client.is_model_ready(server.url, "rose") is False
        else:
            with pytest.raises(httpx.HTTPStatusError, match="404"):
                await client.is_model_ready(server.url, "rose")

    async def test_infer_of_dictionaries(self, rest: Any, server: Server) -> None:
        protocol, client = rest
        rows = server.features[::10]
        if protocol == "v1":
            answer = await client.infer(server.url, {"instances": rows.tolist()}, model_name="iris")
            assert answer == {"predictions": server.labels[::10].tolist()}
        else:
            tensor = {"name": "x", "shape": list(rows.shape), "datatype": "FP64", "data": rows.ravel().tolist()}
            answer = await client.infer(server.url, {"id": "7", "inputs": [tensor]}, model_name="iris")
            assert (answer.id, answer.model_name) == ("7", "iris")
            np.testing.assert_array_equal(answer.outputs[0].as_numpy(), server.labels[::10])

    @pytest.mark.parametrize("binary_in", [False, True], ids=["json-in", "binary-in"])
    @pytest.mark.parametrize("binary_out", [False, True], ids=["json-out", "binary-out"])
    async def test_infer_of_requests(
        self, v2: InferenceRESTClient, server: Server, binary_in: bool, binary_out: bool
    ) -> None:
        wanted = [RequestedOutput("output-0", parameters={"binary_data": binary_out})]
        request = request_of(server, binary=binary_in, request_id="7", request_outputs=wanted)
        headers: dict[str, str] = {}
        answer = await v2.infer(server.url, request, model_name="iris", response_headers=headers)
        np.testing.assert_array_equal(answer.outputs[0].as_numpy(), server.labels[:3])
        assert answer.id == "7"
        assert ("inference-header-content-length" in headers) is binary_out

    async def test_infer_of_a_model_that_does_not_exist(self, rest: Any, server: Server) -> None:
        protocol, client = rest
        body = {"instances": [[1]]} if protocol == "v1" else request_of(server)
        with pytest.raises(httpx.HTTPStatusError, match="rose does not exist"):
            await client.infer(server.url, body, model_name="rose")

    async def test_infer_of_what_the_model_refuses(self, rest: Any, server: Server) -> None:
        protocol, client = rest
        body: Any = {"instances": [[1, 2]]}
        if protocol == "v2":
            body = {"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP64", "data": [1, 2]}]}
        with pytest.raises(httpx.HTTPStatusError) as caught:
            await client.infer(server.url, body, model_name="iris")
        assert caught.value.response.status_code == 400

    async def test_explain_of_a_model_that_cannot(self, server: Server) -> None:
        client = InferenceRESTClient(RESTConfig(protocol="v1", retries=0))
        with pytest.raises(httpx.HTTPStatusError) as caught:
            await client.explain(server.url, "iris", {"instances": server.features[:1].tolist()})
        assert caught.value.response.status_code in (404, 501)
        assert list(caught.value.response.json()) == ["error"]
        await client.close()


class TestGrpc:
    async def test_is_server_live(self, over_grpc: InferenceGRPCClient) -> None:
        assert await over_grpc.is_server_live() is True

    async def test_is_server_ready(self, over_grpc: InferenceGRPCClient) -> None:
        assert await over_grpc.is_server_ready() is True

    async def test_is_model_ready(self, over_grpc: InferenceGRPCClient) -> None:
        assert await over_grpc.is_model_ready("iris") is True

    async def test_is_model_ready_of_one_that_does_not_exist(self, over_grpc: InferenceGRPCClient) -> None:
        with pytest.raises(grpc.RpcError) as caught:
            await over_grpc.is_model_ready("rose")
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND

    @pytest.mark.parametrize("binary", [False, True], ids=["typed", "raw"])
    async def test_infer(self, over_grpc: InferenceGRPCClient, server: Server, binary: bool) -> None:
        answer = await over_grpc.infer(request_of(server, binary=binary, request_id="7"))
        assert (answer.id, answer.model_name) == ("7", "iris")
        np.testing.assert_array_equal(answer.outputs[0].as_numpy(), server.labels[:3])

    async def test_infer_with_a_timeout_and_headers(self, over_grpc: InferenceGRPCClient, server: Server) -> None:
        answer = await over_grpc.infer(request_of(server), timeout=30, headers=[("x-request-id", "7")])
        np.testing.assert_array_equal(answer.outputs[0].as_numpy(), server.labels[:3])

    async def test_infer_of_a_model_that_does_not_exist(self, over_grpc: InferenceGRPCClient, server: Server) -> None:
        request = request_of(server)
        request.model_name = "rose"
        with pytest.raises(grpc.RpcError) as caught:
            await over_grpc.infer(request)
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND

    async def test_infer_of_what_the_model_refuses(self, over_grpc: InferenceGRPCClient) -> None:
        tensor = InferInput("x", [1, 2], "FP64")
        tensor.set_data_from_numpy(np.zeros((1, 2)))
        with pytest.raises(grpc.RpcError) as caught:
            await over_grpc.infer(InferRequest(model_name="iris", infer_inputs=[tensor]))
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
