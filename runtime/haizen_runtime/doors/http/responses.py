"""Sending answers: JSON bodies and errors, with the headers that every answer carries."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from haizen_runtime.protocol.errors import MethodNotAllowed, RequestError

Send = Callable[[Mapping[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

JSON: Final = (b"content-type", b"application/json")
CLOSE: Final = (b"connection", b"close")
_REQUEST_ID: Final = b"x-request-id"
MAX_REQUEST_ID_BYTES: Final = 200


class Responder:
    """Writes answers. One an app; `common` headers (the revision) go on each."""

    def __init__(self, common: Headers) -> None:
        self.common = common
        self.draining = False
        """Once true, HTTP/1.1 clients are asked to come back over a new connection."""

    async def json(self, send: Send, status: int, body: bytes, request_headers: Mapping[bytes, bytes]) -> None:
        """Send a JSON body; the caller's x-request-id comes back."""
        await self.raw(send, status, body, JSON, request_headers)

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
        headers = [content_type, (b"content-length", b"%d" % len(body)), *self.common]
        request_id = request_headers.get(_REQUEST_ID)
        if request_id is not None and len(request_id) <= MAX_REQUEST_ID_BYTES:
            headers.append((_REQUEST_ID, request_id))
        if extra:
            headers += extra
        if self.draining:
            headers.append(CLOSE)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def error(self, send: Send, error: RequestError, request_headers: Mapping[bytes, bytes]) -> None:
        """Send `{"error": message}` with the error's status."""
        import orjson

        extra: Headers = []
        if error.retry_after_seconds is not None:
            extra.append((b"retry-after", b"%d" % error.retry_after_seconds))
        if isinstance(error, MethodNotAllowed):
            extra.append((b"allow", error.allowed.encode("latin-1")))
        if error.status in (408, 413):  # the rest of the body is still on its way: do not read it as a request
            extra.append(CLOSE)
        text = error.message.encode("utf-8", "replace").decode()
        await self.raw(send, error.status, orjson.dumps({"error": text}), JSON, request_headers, extra)
