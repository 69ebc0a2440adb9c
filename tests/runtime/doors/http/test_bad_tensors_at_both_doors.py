"""Tensors whose bytes are wrong: the same words and the same class of error over REST and over gRPC."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
import httpx
import orjson
import pytest

from tests.runtime.doors.grpc.conftest import PB, Client, target_of
from tests.runtime.tensor_cases import BAD_TENSORS


@pytest.fixture(scope="module")
def client(models: Any) -> Iterator[Client]:
    opened = Client(target_of(models))
    yield opened
    opened.channel.close()


@pytest.mark.parametrize(("datatype", "shape", "data", "says"), BAD_TENSORS)
def test_bad_tensors(models: Any, client: Client, datatype: str, shape: list[int], data: bytes, says: str) -> None:
    model = {"FP31": "fp32", "BF16": "iris"}.get(datatype, datatype.lower())
    tensor = {"name": "x", "datatype": datatype, "shape": shape, "parameters": {"binary_data_size": len(data)}}
    head = orjson.dumps({"inputs": [tensor]})
    response = httpx.post(
        f"{models.url}/v2/models/{model}/infer", content=head + data,
        headers={"inference-header-content-length": str(len(head))},
    )  # fmt: skip
    assert response.status_code == 400
    error = response.json()["error"]
    assert says in error
    message = PB.ModelInferRequest(model_name=model, raw_input_contents=[data])
    message.inputs.add(name="x", datatype=datatype, shape=shape)
    with pytest.raises(grpc.RpcError) as caught:
        client.call("ModelInfer", message)
    assert (caught.value.code(), caught.value.details()) == (grpc.StatusCode.INVALID_ARGUMENT, error)
