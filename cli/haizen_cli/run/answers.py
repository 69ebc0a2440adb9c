"""What the gateway answers by itself, in the form that the client reads: JSON, or a gRPC status."""

import json
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any, Final
from urllib.parse import quote

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_GRPC_STATUS: Final = {404: 12, 502: 14, 503: 14}
"""gRPC's status for an HTTP status, by gRPC's own table for answers that carry none."""


def is_grpc(scope: Scope) -> bool:
    """Whether a request is a gRPC call."""
    return any(name == b"content-type" and value.startswith(b"application/grpc") for name, value in scope["headers"])


async def answer(scope: Scope, send: Send, status: int, message: str, retry_after: int | None = None) -> None:
    """Answer in the error shape of the runtime, ``{"error": ...}``, or by the gRPC status that goes with it."""
    if is_grpc(scope):
        await _grpc_status(send, _GRPC_STATUS[status], message)
        return
    extra = [] if retry_after is None else [(b"retry-after", str(retry_after).encode("ascii"))]
    await send_whole(send, status, b"application/json", json.dumps({"error": message}).encode(), extra)


async def send_whole(
    send: Send, status: int, content_type: bytes, body: bytes, extra: Sequence[tuple[bytes, bytes]] = ()
) -> None:
    """Send a whole answer."""
    headers = [(b"content-type", content_type), (b"content-length", str(len(body)).encode("ascii")), *extra]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _grpc_status(send: Send, code: int, message: str) -> None:
    await send(
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [(b"content-type", b"application/grpc")],
            "trailers": True,
        }
    )
    await send({"type": "http.response.body", "body": b""})
    text = quote(message, safe=" !#$&'()*+,/:;=?@[]<>{}\"").encode("ascii")
    trailers = [(b"grpc-status", str(code).encode("ascii")), (b"grpc-message", text)]
    await send({"type": "http.response.trailers", "headers": trailers, "more_trailers": False})
