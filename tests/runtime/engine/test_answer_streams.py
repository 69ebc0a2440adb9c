"""Answers between the thread that makes them and the event loop that reads them."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import numpy as np
import pytest

from haizen_runtime.engine.streams import UNREAD_ANSWERS, AnswerStream
from haizen_runtime.protocol.errors import DeadlineExceeded
from haizen_runtime.protocol.messages import InferenceResponse


def respond(outputs: Any) -> InferenceResponse:
    return InferenceResponse("model", "1", [], str(outputs["x"][0]))


def outputs(number: int) -> dict[str, Any]:
    return {"x": np.array([number])}


class Maker(threading.Thread):
    """Puts numbers until nobody wants them, and says so to the future that the stream follows."""

    def __init__(self, stream: AnswerStream, count: int) -> None:
        super().__init__(daemon=True)
        self.stream = stream
        self.count = count
        self.put = 0
        self.refused = 0
        self.stopped = threading.Event()
        self.loop = asyncio.get_running_loop()
        self.end: asyncio.Future[None] = self.loop.create_future()
        stream.follow(self.end)

    def run(self) -> None:
        self.stream.on_stop(self.stopped.set)
        for number in range(self.count):
            if self.stream.put(outputs(number)):
                self.put += 1
            else:
                self.refused += 1
        self.loop.call_soon_threadsafe(lambda: self.end.done() or self.end.set_result(None))


async def begin(count: int) -> tuple[AnswerStream, Maker]:
    stream = AnswerStream(asyncio.get_running_loop(), respond)
    maker = Maker(stream, count)
    maker.start()
    return stream, maker


async def test_all_answers_come_in_order() -> None:
    stream, maker = await begin(100)
    assert [response.id async for response in stream] == [str(number) for number in range(100)]
    assert not maker.stopped.is_set()


async def test_a_slow_reader_holds_the_maker_back() -> None:
    stream, maker = await begin(100)
    assert (await anext(stream)).id == "0"
    for _ in range(20):
        await asyncio.sleep(0.01)
        assert maker.put <= UNREAD_ANSWERS + 1
    assert [response.id async for response in stream][-1] == "99"


async def test_stopping_ends_reader_and_maker() -> None:
    stream, maker = await begin(100)
    await anext(stream)
    stream.stop()
    stream.stop()
    await asyncio.to_thread(maker.join, 60)
    assert maker.stopped.is_set()
    assert maker.put <= UNREAD_ANSWERS + 1
    assert maker.put + maker.refused == 100
    assert len([response async for response in stream]) <= UNREAD_ANSWERS


async def test_stopping_wakes_a_reader_that_waits() -> None:
    stream = AnswerStream(asyncio.get_running_loop(), respond)
    stream.follow(asyncio.get_running_loop().create_future())
    asyncio.get_running_loop().call_later(0.01, stream.stop)
    assert [response async for response in stream] == []


async def test_who_comes_after_the_stop_is_told_at_once() -> None:
    stream = AnswerStream(asyncio.get_running_loop(), respond)
    stream.stop()
    told = threading.Event()
    stream.on_stop(told.set)
    assert told.is_set()
    assert not stream.put(outputs(1))


async def test_an_error_comes_after_the_answers_and_stops_the_maker() -> None:
    stream, maker = await begin(100)
    found = [(await anext(stream)).id]
    maker.end.set_exception(DeadlineExceeded("late"))

    async def read_on() -> None:
        async for response in stream:
            found.append(response.id)  # noqa: PERF401  # what came before the error is kept

    with pytest.raises(DeadlineExceeded, match="late"):
        await read_on()
    assert found == [str(number) for number in range(len(found))]
    assert len(found) <= UNREAD_ANSWERS + 2
    await asyncio.to_thread(maker.join, 60)  # all of it: what it still had to say would find the loop closed
    assert maker.stopped.is_set()


async def test_the_answer_of_the_future_itself_is_the_last() -> None:
    stream = AnswerStream(asyncio.get_running_loop(), respond)
    future: asyncio.Future[InferenceResponse] = asyncio.get_running_loop().create_future()
    stream.follow(future)
    future.set_result(respond(outputs(5)))
    assert [response.id async for response in stream] == ["5"]
