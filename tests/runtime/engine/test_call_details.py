"""What a call says beside its tensors reaches the model code that wants it, and nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from haizen_runtime.engine.backend import Backend
from haizen_runtime.engine.call_details import CALL_DETAILS, CallDetails, grpc_metadata, http_headers
from haizen_runtime.engine.jobs import explanation, run_work
from haizen_runtime.engine.model import Model
from haizen_runtime.protocol.messages import InferenceRequest, ModelMetadata, Tensor, TensorMetadata

if TYPE_CHECKING:
    from haizen_runtime.engine.backend import Arrays


class Listening(Backend):
    """Keeps what it could hear."""

    explains = True
    takes_headers = True

    def __init__(self) -> None:
        self.heard: list[CallDetails | None] = []

    def execute(self, inputs: Arrays, outputs: Sequence[str] | None) -> dict[str, Any]:
        self.heard.append(CALL_DETAILS.get())
        return {"output-0": np.zeros(1)}

    explain = execute

    def sample(self, rows: int) -> None:
        return None


def request(headers: dict[str, str] | None) -> InferenceRequest:
    made = InferenceRequest("m", [Tensor("x", "FP32", (1,), np.zeros(1, np.float32))], id="7", parameters={"depth": 3})
    made.headers = headers
    return made


@pytest.mark.parametrize("explained", [False, True])
@pytest.mark.parametrize(
    ("headers", "heard"),
    [
        pytest.param({"a": "b"}, {"headers": {"a": "b"}, "id": "7", "parameters": {"depth": 3}}, id="told"),
        pytest.param({}, {"headers": {}, "id": "7", "parameters": {"depth": 3}}, id="none-sent"),
        pytest.param(None, None, id="not-asked-for"),
    ],
)
def test_it_is_there_while_the_request_runs(
    headers: dict[str, str] | None, heard: CallDetails | None, explained: bool
) -> None:
    backend = Listening()
    work = explanation(backend, request(headers), "1") if explained else request(headers)
    run_work(backend, [work], "1")
    assert backend.heard == [heard]
    assert CALL_DETAILS.get() is None


async def test_what_one_call_says_is_not_told_of_another() -> None:
    backend = Listening()
    backend.metadata = ModelMetadata("listening", (TensorMetadata("x", "FP32", (-1,)),), (), True, True)
    model = Model("m", "1", lambda: backend)
    await asyncio.to_thread(model.load)
    model.start()
    assert model.takes_headers
    await asyncio.gather(*[model.infer(request({"number": str(number)})) for number in range(3)])
    assert [each and each["headers"] for each in backend.heard] == [{"number": str(number)} for number in range(3)]


def test_headers_are_text() -> None:
    assert http_headers({b"x-tenant": b"bl\xfc", b"te": b"trailers"}) == {"x-tenant": "blü", "te": "trailers"}


def test_metadata_is_what_the_caller_said() -> None:
    headers = {
        b"host": b"x", b"te": b"trailers", b"content-type": b"application/grpc", b"grpc-timeout": b"1S",
        b"grpc-encoding": b"gzip", b"user-agent": b"grpc-go", b"x-tenant": b"blue",
    }  # fmt: skip
    assert grpc_metadata(headers) == {"user-agent": "grpc-go", "x-tenant": "blue"}
