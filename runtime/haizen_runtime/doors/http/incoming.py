"""A request's body as it comes over a connection, for the application to receive (ASGI), or to take at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    Message = dict[str, Any]

INCOMING: Final = "haizen.incoming"
"""The key of a scope under which the connection offers the request's `Incoming`, beside ASGI's receive."""
DISCONNECT: Final[Message] = {"type": "http.disconnect"}


class Incoming:
    """What came of one request and was not received yet, and whether its client is still there."""

    __slots__ = ("_chunks", "_delivered", "_loop", "_more", "_over", "_waiter", "held")

    def __init__(self, loop: asyncio.AbstractEventLoop, more: bool) -> None:
        """`more` says whether a body is to come."""
        self.held = 0
        """Bytes of the body that came and were not received yet."""
        self._loop = loop
        self._chunks: list[bytes] = []
        self._more = more
        self._delivered = False
        self._over = False
        self._waiter: asyncio.Future[None] | None = None

    def feed(self, data: bytes) -> int:
        """More of the body came; returns how much waits to be received."""
        if not self._over:
            self._chunks.append(data)
            self.held += len(data)
            self._wake()
        return self.held

    def feed_end(self) -> None:
        """The body is complete."""
        self._more = False
        self._wake()

    def end(self) -> None:
        """The client is gone, or the answer is complete."""
        self._over = True
        self._chunks.clear()
        self.held = 0
        self._wake()

    def is_gone(self) -> bool:
        """Whether nobody waits for an answer any more."""
        return self._over

    def whole_body(self) -> bytes | None:
        """The body, if all of it has come in one piece; receiving then gives nothing but the client's end."""
        chunks = self._chunks
        if self._more or self._delivered or self._over or len(chunks) > 1:
            return None
        self._delivered = True
        self.held = 0
        self.taken()
        return chunks.pop() if chunks else b""

    async def receive(self) -> Message:
        """ASGI."""
        while not self._over and not self._chunks and (self._more or self._delivered):
            self.expect()
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        if self._over:
            return DISCONNECT
        chunks = self._chunks
        body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        chunks.clear()
        self.held = 0
        self.taken()
        self._delivered = not self._more
        return {"type": "http.request", "body": body, "more_body": self._more}

    def answer_at_once(
        self, send: Callable[..., Any], status: int, headers: list[tuple[bytes, bytes]], body: bytes
    ) -> bool:
        """Send a whole answer without ASGI's messages; False, with nothing done, when it has to go by them.

        `send` is ASGI's, as the caller has it: where somebody stands between, who wants to see the messages, it has
        to go by them.
        """
        return False

    def expect(self) -> None:
        """The application waits for more."""

    def taken(self) -> None:
        """The application has taken what was held."""

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def incoming_of(scope: Mapping[str, Any]) -> Incoming | None:
    """What the connection offers; None where it is not one of ours."""
    return scope.get(INCOMING)


def presence_of(scope: Mapping[str, Any]) -> Callable[[], bool] | None:
    """What tells whether a request's client is gone; None where nobody knows."""
    incoming = incoming_of(scope)
    return None if incoming is None else incoming.is_gone
