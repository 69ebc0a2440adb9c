"""What a call says beside its tensors reaches the model code that wants it, and nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from haizen_runtime.engine.backend import Backend
from haizen_runtime.engine.call_details import (
    ANSWER_DETAILS,
    CALL_DETAILS,
    CallDetails,
    checked_answer,
    grpc_metadata,
    http_headers,
)
from haizen_runtime.engine.jobs import explanation, run_work
from haizen_runtime.engine.model import Model
from haizen_runtime.protocol.messages import InferenceRequest, InferenceResponse, ModelMetadata, Tensor, TensorMetadata

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


class Talking(Listening):
    """Says more than its tensors, to the first call only."""

    def execute(self, inputs: Arrays, outputs: Sequence[str] | None) -> dict[str, Any]:
        if not self.heard:
            ANSWER_DETAILS.set(
                {"headers": {"x": "1"}, "id": "own", "parameters": {"n": 2}, "outputs": {"output-0": {"unit": "m"}}}
            )
        return super().execute(inputs, outputs)

    explain = execute


@pytest.mark.parametrize("explained", [False, True])
@pytest.mark.parametrize(("asked", "answered"), [("7", "7"), (None, "own")])
def test_what_the_answer_says_is_in_it_and_in_no_other(explained: bool, asked: str | None, answered: str) -> None:
    backend = Talking()

    def ask() -> InferenceResponse:
        one = request({})
        one.id = asked
        (response,) = run_work(backend, [explanation(backend, one, "1") if explained else one], "1")
        assert isinstance(response, InferenceResponse)
        return response

    first, second = ask(), ask()
    assert (first.id, first.headers, first.parameters) == (answered, {"x": "1"}, {"n": 2})
    assert first.outputs[0].parameters == {"unit": "m"}
    assert (second.id, second.headers, second.parameters) == (asked, None, None)
    assert second.outputs[0].parameters is None


GOOD = {"headers": {"a": "b"}, "id": None, "parameters": {"n": 1.5}, "outputs": {"y": {"flag": True}}}


def test_good_details_are_taken_as_they_are() -> None:
    assert checked_answer(GOOD) == GOOD


@pytest.mark.parametrize(
    "wrong",
    [{"headers": {"a": 1}}, {"headers": {b"a": "b"}}, {"headers": []}, {"id": 7}, {"parameters": {"n": [1]}},
     {"parameters": {1: 1}}, {"parameters": None}, {"outputs": {"y": {"n": None}}}, {"outputs": [1]}],
    ids=repr,
)  # fmt: skip
def test_nonsense_as_details_is_an_error(wrong: dict[str, Any]) -> None:
    with pytest.raises((ValueError, AttributeError)):
        checked_answer(GOOD | wrong)


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
