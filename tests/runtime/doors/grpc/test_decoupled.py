"""ModelStreamInfer on a model that streams, with gRPC's own client."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.runtime.conftest import SERVE, RuntimeProcess, wait_for
from tests.runtime.doors.grpc.conftest import PB, SERVICE, Client, target_of
from tests.runtime.workers.streaming_code import CODE

EMPTY_FINAL = "triton_enable_empty_final_response"


@pytest.fixture(scope="module")
def notes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("decoupled")


@pytest.fixture(scope="module")
def client(notes: Path) -> Iterator[Client]:
    (notes / "model.py").write_text(CODE)
    runtime = RuntimeProcess([*SERVE, "--model_name=code", f"--model_dir={notes}", "--allow_code"], {})
    try:
        runtime.wait_ready()
        client = Client(target_of(runtime))
        yield client
        client.channel.close()
    finally:
        runtime.stop()


def request(word: str, **parameters: Any) -> Any:
    message = PB.ModelInferRequest(model_name="code", id=word)
    message.inputs.add(name="word", datatype="BYTES", shape=[1]).contents.bytes_contents.append(word.encode())
    for name, value in parameters.items():
        kind = {bool: "bool_param", int: "int64_param", float: "double_param"}[type(value)]
        setattr(message.parameters[name], kind, value)
    return message


def stream(client: Client, messages: Iterator[Any], **options: Any) -> Any:
    method = client.channel.stream_stream(
        SERVICE + "ModelStreamInfer",
        PB.ModelInferRequest.SerializeToString,
        PB.ModelStreamInferResponse.FromString,
    )
    return method(messages, timeout=60, **options)


def numbers(answers: list[Any], word: str) -> list[int]:
    """What one request was answered; empty answers have none."""
    return [
        answer.infer_response.outputs[1].contents.int64_contents[0]
        for answer in answers
        if answer.infer_response.id == word and answer.infer_response.outputs
    ]


def is_final(answer: Any) -> bool:
    return bool(answer.infer_response.parameters["triton_final_response"].bool_param)


def test_a_message_for_each_item_and_none_that_is_empty(client: Client) -> None:
    answers = list(stream(client, iter([request("one", count=4), request("two", count=0)])))
    assert numbers(answers, "one") == [0, 1, 2, 3]
    assert len(answers) == 4
    assert [is_final(answer) for answer in answers] == [False] * 4
    assert {answer.infer_response.model_name for answer in answers} == {"code"}


def test_the_empty_final_answer_comes_when_asked_for(client: Client) -> None:
    asked = [request("none", count=0, **{EMPTY_FINAL: True}), request("some", count=2, **{EMPTY_FINAL: True})]
    answers = list(stream(client, iter(asked)))
    assert numbers(answers, "some") == [0, 1]
    finals = [answer.infer_response for answer in answers if is_final(answer)]
    assert sorted(each.id for each in finals) == ["none", "some"]
    assert all(not each.outputs for each in finals)
    assert len(answers) == 4


def test_requests_of_one_stream_run_beside_each_other(client: Client) -> None:
    """The second one is answered whole while the first one is far from its end."""
    messages: queue.SimpleQueue[Any] = queue.SimpleQueue()
    call = stream(client, iter(messages.get, None))
    messages.put(request("slow", count=100_000, wait=0.05))
    answers = [next(call)]
    messages.put(request("quick", count=3))
    while len(numbers(answers, "quick")) < 3:
        answers.append(next(call))
    assert numbers(answers, "quick") == list(range(3))
    slow = numbers(answers, "slow")
    assert slow == list(range(len(slow)))
    call.cancel()
    messages.put(None)


def test_an_error_is_a_message_about_its_request(client: Client) -> None:
    answers = list(stream(client, iter([request("bad", fail_at=1), request("good")])))
    (failed,) = [answer for answer in answers if answer.error_message]
    assert (failed.error_message, failed.infer_response.id, is_final(failed)) == ("no further", "bad", True)
    assert numbers(answers, "bad") == [0]
    assert numbers(answers, "good") == [0, 1, 2]


def test_an_error_is_a_status_when_asked_for(client: Client) -> None:
    call = stream(client, iter([request("bad", fail_at=1)]), metadata=[("triton_grpc_error", "true")])
    assert numbers([next(call)], "bad") == [0]
    with pytest.raises(grpc.RpcError) as caught:
        next(call)
    assert (caught.value.code(), caught.value.details()) == (grpc.StatusCode.INVALID_ARGUMENT, "no further")


@pytest.mark.parametrize("half_closed", [True, False], ids=["half-closed", "open"])
def test_a_cancelled_call_ends_the_generator(client: Client, notes: Path, half_closed: bool) -> None:
    word = f"cancelled{half_closed}"
    messages: queue.SimpleQueue[Any] = queue.SimpleQueue()
    messages.put(request(word, count=100_000, wait=0.1))
    if half_closed:
        messages.put(None)
    call = stream(client, iter(messages.get, None))
    assert numbers([next(call)], word) == [0]
    call.cancel()
    messages.put(None)
    wait_for((notes / f"{word}.end").exists)


def test_a_client_that_does_not_read_holds_the_generator_back(client: Client, notes: Path) -> None:
    call = stream(client, iter([request("held", count=100_000, size=100_000)]))
    next(call)
    note, end = notes / "held.note", notes / "held.end"
    counts: list[int] = []
    wait_for(lambda: counts.append(int(note.read_text() or 0)) or counts[-20:] == counts[-1:] * 20)  # type: ignore[func-returns-value]
    assert counts[-1] < 500  # 50 MB, of 10 GB
    assert not end.exists()
    call.cancel()
    wait_for(end.exists)


def test_the_deadline_ends_the_generator(client: Client, notes: Path) -> None:
    method = client.channel.stream_stream(
        SERVICE + "ModelStreamInfer", PB.ModelInferRequest.SerializeToString, PB.ModelStreamInferResponse.FromString
    )
    with pytest.raises(grpc.RpcError) as caught:
        list(method(iter([request("late", count=100_000, wait=0.1)]), timeout=5))
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    wait_for((notes / "late.end").exists)


def test_one_answer_is_refused(client: Client) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        client.call("ModelInfer", request("x"))
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert "ModelStreamInfer" in caught.value.details()
