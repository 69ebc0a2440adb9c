"""One streaming call: messages in as they arrive, messages out as they are made."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from haizen_runtime.doors.grpc.framing import Buffer, Deframer, frame
from haizen_runtime.doors.grpc.metadata import Headers
from haizen_runtime.doors.http.body import Receive
from haizen_runtime.doors.http.responses import Send
from haizen_runtime.protocol.errors import ClientGone, MalformedMessage


class MessageStream:
    """Reads and writes the messages of one call."""

    def __init__(
        self,
        receive: Receive,
        send: Send,
        head: Headers,
        request_encoding: bytes | None,
        answer_encoding: bytes | None,
        limit_bytes: int,
        decompressed_limit_bytes: int,
    ) -> None:
        self._receive = receive
        self._send = send
        self._head = head
        self._encoding = answer_encoding
        self._deframer = Deframer(request_encoding, limit_bytes, decompressed_limit_bytes)
        self._messages: deque[bytes] = deque()
        self._started = False
        self._ended = False

    async def read(self) -> bytes | None:
        """The next message; None after the last. Raises ClientGone, MalformedMessage or PayloadTooLarge."""
        while not self._messages:
            if self._ended:
                return None
            event: Mapping[str, Any] = await self._receive()
            if event["type"] == "http.disconnect":
                raise ClientGone("The client ended the call.")
            self._messages.extend(self._deframer.feed(event.get("body", b"")))
            if not event.get("more_body", False):
                self._ended = True
                self._deframer.finish()
        return self._messages.popleft()

    async def only(self) -> bytes:
        """The one message of a call that takes one and streams its answers. Raises as `read`."""
        message = await self.read()
        if message is None:
            raise MalformedMessage("The gRPC request has no message.")
        if await self.read() is not None:
            raise MalformedMessage("The gRPC request has more than one message; this method takes one.")
        return message

    async def disconnected(self) -> None:
        """Return once the client has gone."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def write(self, pieces: Sequence[Buffer]) -> None:
        """Send a message, given in pieces."""
        await self._start()
        await self._send({"type": "http.response.body", "body": frame(pieces, self._encoding), "more_body": True})

    async def close(self, trailers: Headers) -> None:
        """End the call with a status."""
        await self._start()
        await self._send({"type": "http.response.body", "body": b""})
        await self._send({"type": "http.response.trailers", "headers": trailers})

    async def _start(self) -> None:
        if not self._started:
            self._started = True
            await self._send({"type": "http.response.start", "status": 200, "headers": self._head, "trailers": True})
