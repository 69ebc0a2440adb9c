"""Sending answers: JSON bodies and errors, with the headers that every answer carries."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from haizen_runtime.doors.http.compression import THREAD_BYTES, accepted_encoding, compressed
from haizen_runtime.doors.http.incoming import Incoming
from haizen_runtime.protocol.errors import MethodNotAllowed, RequestError, Unauthenticated

Send = Callable[[Mapping[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

JSON: Final = (b"content-type", b"application/json")
OCTETS: Final = (b"content-type", b"application/octet-stream")
CLOSE: Final = (b"connection", b"close")
AUTHENTICATE: Final = (b"www-authenticate", b'Bearer realm="haizen"')
_REQUEST_ID: Final = b"x-request-id"
JOIN_BYTES: Final = 64 * 1024
"""Up to this size the pieces of an answer are joined: one message costs less than the copy."""


@dataclass(slots=True)
class Answer:
    """An answer that is more than a JSON body."""

    pieces: Sequence[bytes | memoryview]
    content_type: tuple[bytes, bytes]
    headers: Headers = field(default_factory=list)

    @classmethod
    def of(cls, answer: bytes | Answer) -> Answer:
        """The answer itself, or a JSON body as one."""
        return answer if isinstance(answer, Answer) else cls([answer], JSON)

    def with_headers(self, headers: Headers) -> Answer:
        """The same with more headers."""
        return Answer(self.pieces, self.content_type, [*self.headers, *headers])


class Responder:
    """Writes answers. One an app; `common` headers (the revision) go on each."""

    def __init__(self, common: Headers, max_request_id_bytes: int, compress_above_bytes: int = 0) -> None:
        """A request's id comes back unless it has more than `max_request_id_bytes`."""
        self.common = common
        self._max_request_id_bytes = max_request_id_bytes
        self.compress_above_bytes = compress_above_bytes
        """Answers to inferences of more bytes than this are compressed for clients that take it; 0: none is."""
        self.draining = False
        """Once true, HTTP/1.1 clients are asked to come back over a new connection."""

    async def json(self, send: Send, status: int, body: bytes, request_headers: Mapping[bytes, bytes]) -> None:
        """Send a JSON body; the caller's x-request-id comes back."""
        await self.raw(send, status, body, JSON, request_headers)

    async def inference(
        self,
        send: Send,
        answer: bytes | Answer,
        request_headers: Mapping[bytes, bytes],
        incoming: Incoming | None = None,
    ) -> None:
        """Send what a model answered: a JSON body, or more than that; at once if what is `incoming` lets it."""
        if self.compress_above_bytes:
            answer = await self._compressed(answer, request_headers)
        if type(answer) is bytes:
            headers = self._headers(len(answer), JSON, request_headers, None)
            if incoming is None or not incoming.answer_at_once(send, 200, headers, answer):
                await _send_whole(send, 200, headers, answer)
            return
        assert isinstance(answer, Answer)
        length = sum(map(len, answer.pieces))
        if length <= JOIN_BYTES or len(answer.pieces) == 1:
            await self.raw(send, 200, b"".join(answer.pieces), answer.content_type, request_headers, answer.headers)
            return
        headers = self._headers(length, answer.content_type, request_headers, answer.headers)
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for piece in answer.pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def _compressed(self, answer: bytes | Answer, request_headers: Mapping[bytes, bytes]) -> bytes | Answer:
        plain = Answer.of(answer)
        length = sum(map(len, plain.pieces))
        if length <= self.compress_above_bytes:
            return answer
        plain.headers = [*plain.headers, (b"vary", b"accept-encoding")]
        encoding = accepted_encoding(request_headers.get(b"accept-encoding", b""))
        if encoding is None:
            return plain
        if length > THREAD_BYTES:
            plain.pieces = [await asyncio.to_thread(compressed, plain.pieces, encoding)]
        else:
            plain.pieces = [compressed(plain.pieces, encoding)]
        plain.headers.append((b"content-encoding", encoding))
        return plain

    async def raw(
        self,
        send: Send,
        status: int,
        body: bytes,
        content_type: tuple[bytes, bytes],
        request_headers: Mapping[bytes, bytes],
        extra: Headers | None = None,
    ) -> None:
        """Send a body of any type."""
        await _send_whole(send, status, self._headers(len(body), content_type, request_headers, extra), body)

    async def begin(
        self,
        send: Send,
        content_type: tuple[bytes, bytes],
        request_headers: Mapping[bytes, bytes],
        extra: Headers | None = None,
    ) -> None:
        """Send the head of an answer whose body's length nobody knows yet."""
        headers = self._headers(None, content_type, request_headers, extra)
        await send({"type": "http.response.start", "status": 200, "headers": headers})

    def _headers(
        self,
        length: int | None,
        content_type: tuple[bytes, bytes],
        request_headers: Mapping[bytes, bytes],
        extra: Headers | None,
    ) -> Headers:
        headers = [content_type, *self.common]
        if length is not None:
            headers.append((b"content-length", b"%d" % length))
        request_id = request_headers.get(_REQUEST_ID)
        if request_id is not None and len(request_id) <= self._max_request_id_bytes:
            headers.append((_REQUEST_ID, request_id))
        if extra:
            headers += extra
        if self.draining:
            headers.append(CLOSE)
        return headers

    async def error(self, send: Send, error: RequestError, request_headers: Mapping[bytes, bytes]) -> None:
        """Send `{"error": message}` with the error's status."""
        import orjson

        extra: Headers = []
        if error.retry_after_seconds is not None:
            extra.append((b"retry-after", b"%d" % error.retry_after_seconds))
        if isinstance(error, MethodNotAllowed):
            extra.append((b"allow", error.allowed.encode("latin-1")))
        if isinstance(error, Unauthenticated):
            extra.append(AUTHENTICATE)
        if error.status in (408, 413):  # the rest of the body is still on its way: do not read it as a request
            extra.append(CLOSE)
        text = error.message.encode("utf-8", "replace").decode()
        await self.raw(send, error.status, orjson.dumps({"error": text}), JSON, request_headers, extra)


async def _send_whole(send: Send, status: int, headers: Headers, body: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
