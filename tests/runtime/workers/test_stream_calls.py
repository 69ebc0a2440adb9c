"""How much of a stream is on its way, and the server's side of a streaming call."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from haizen_runtime.protocol.errors import DeadlineExceeded, InvalidInput
from haizen_runtime.workers.calls import StreamCall
from haizen_runtime.workers.limits import WorkerLimits
from haizen_runtime.workers.window import Window

ANSWER = {"x": np.zeros(1)}
LIMITS = WorkerLimits()


@given(
    st.lists(st.integers(0, 100) | st.just("taken")),
    st.builds(WorkerLimits, window_answers=st.integers(1, 20), window_bytes=st.integers(1, 50)),
)
def test_the_window_bounds_answers_and_bytes_but_lets_one_of_any_size_go(
    events: list[int | str], limits: WorkerLimits
) -> None:
    window = Window(limits)
    under_way: list[int] = []
    for event in events:
        if isinstance(event, str):
            if under_way:
                under_way.pop(0)
                window.taken()
            else:
                with pytest.raises(ValueError, match="not sent"):
                    window.taken()
        elif window.is_open:
            assert len(under_way) < limits.window_answers
            assert sum(under_way) < limits.window_bytes
            window.sent(event)
            under_way.append(event)
        else:
            with pytest.raises(ValueError, match="more answers"):
                window.sent(event)
        assert window.is_open or under_way


def make() -> tuple[StreamCall, list[str]]:
    told: list[str] = []
    return StreamCall(told.append, LIMITS), told


def test_answers_are_taken_in_order_and_the_worker_is_told() -> None:
    call, told = make()
    answers: list[Any] = [{"x": np.array([number])} for number in range(3)]
    for answer in answers:
        call.add(answer, 8)
    call.set_result(None)
    assert [call.take(1) for _ in range(4)] == [*answers, None]
    assert told == ["taken"] * 3


def test_an_error_is_raised_after_what_came_before_it() -> None:
    call, _ = make()
    call.add(ANSWER, 8)
    call.set_exception(InvalidInput("no"))
    assert call.take(1) is ANSWER
    with pytest.raises(InvalidInput, match="no"):
        call.take(1)


def test_cancelling_wakes_who_waits_and_drops_what_comes_until_the_worker_has_ended_the_call() -> None:
    call, told = make()
    for _ in range(5):
        call.add(ANSWER, 8)
    assert call.take(1) is ANSWER
    ends: list[Any] = []
    call.cancel()
    taker = threading.Thread(target=lambda: ends.append(call.take(60)))
    taker.start()
    while "cancel" not in told:
        pass
    call.cancel()
    call.add(ANSWER, 8)
    call.set_exception(InvalidInput("cancelled"))
    taker.join()
    assert ends == [None]
    assert told.count("cancel") == 1
    assert told[:2] == ["taken", "cancel"]


def test_a_stream_is_cancelled_when_its_next_answer_is_late() -> None:
    told: list[str] = []

    def tell(word: str) -> None:
        told.append(word)
        if word == "cancel":
            call.add(ANSWER, 8)  # on its way before the worker heard
            call.set_result(None)

    call = StreamCall(tell, LIMITS)
    call.add(ANSWER, 8)
    assert call.take(0.01) is ANSWER
    with pytest.raises(DeadlineExceeded, match=r"did not answer within 0\.01 s"):
        call.take(0.01)
    assert told == ["taken", "cancel"]


def test_a_worker_that_says_nothing() -> None:
    call, told = make()
    with pytest.raises(TimeoutError):
        call.take(0.01)
    assert told == ["cancel"]


def test_a_worker_that_does_not_wait_talks_nonsense() -> None:
    call, _ = make()
    for _ in range(LIMITS.window_answers):
        call.add(ANSWER, 8)
    with pytest.raises(ValueError, match="more answers"):
        call.add(ANSWER, 8)
