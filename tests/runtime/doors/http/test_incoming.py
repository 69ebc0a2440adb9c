"""A request leaves nothing for the collector: what refers to it in a circle would stay until it looks."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import pytest
import zttp

from haizen_runtime.doors.http.http1_exchange import Http1Exchange
from haizen_runtime.doors.http.incoming import INCOMING, incoming_of, presence_of


class Weak(Http1Exchange):
    """An exchange that can be watched."""

    __slots__ = ("__weakref__",)


def request_of(raw: bytes) -> Any:
    return zttp.Connection(zttp.SERVER).receive_event(raw)


def exchange_of(loop: asyncio.AbstractEventLoop) -> Weak:
    class Connection:
        def __init__(self) -> None:
            self.loop = loop
            self.transport = self

        def read_on(self) -> None:
            pass

        def is_closing(self) -> bool:
            return True

    connection: Any = Connection()
    return Weak(connection, request_of(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\n"))


@pytest.mark.parametrize("takes", ["at once", "by receiving"])
def test_an_exchange_is_gone_with_its_task(takes: str) -> None:
    bodies = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        incoming = incoming_of(scope)
        assert incoming is not None
        bodies.append(incoming.whole_body() if takes == "at once" else (await receive())["body"])

    async def run() -> weakref.ref[Weak]:
        exchange = exchange_of(asyncio.get_running_loop())
        exchange.feed(b"body")
        exchange.feed_end()
        await asyncio.create_task(exchange.run(app, {INCOMING: exchange}))
        return weakref.ref(exchange)

    gc.disable()
    try:
        assert asyncio.run(run())() is None
    finally:
        gc.enable()
    assert bodies == [b"body"]


@pytest.mark.parametrize(
    ("pieces", "complete", "body"),
    [
        pytest.param([b"ab"], True, b"ab", id="in one piece"),
        pytest.param([], True, b"", id="empty"),
        pytest.param([b"a", b"b"], True, None, id="in two pieces"),
        pytest.param([b"a"], False, None, id="not complete"),
    ],
)
def test_a_body_is_taken_at_once_only_when_it_is_all_there(pieces: list[bytes], complete: bool, body: Any) -> None:
    async def run() -> None:
        exchange = exchange_of(asyncio.get_running_loop())
        for piece in pieces:
            exchange.feed(piece)
        if complete:
            exchange.feed_end()
        assert exchange.whole_body() == body
        if body is None:
            assert (await exchange.receive())["body"] == b"".join(pieces)
        else:
            assert exchange.whole_body() is None, "it is taken once"

    asyncio.run(run())


def test_who_has_gone_is_known() -> None:
    async def run() -> None:
        exchange = exchange_of(asyncio.get_running_loop())
        is_gone = presence_of({INCOMING: exchange})
        assert is_gone is not None
        assert not is_gone()
        exchange.end()
        assert is_gone()
        assert (await exchange.receive())["type"] == "http.disconnect"

    asyncio.run(run())
    assert presence_of({}) is None
