"""The gRPC application: plain ASGI over HTTP/2, beside the HTTP doors and behind the same port.

A call is a POST whose body holds messages and whose answer ends with trailers. Unary methods take the bytes of one
message and give the pieces of another; streaming methods work on a `MessageStream`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from haizen_runtime.doors.grpc.calls import GrpcCall, Methods, Streaming, Unary
from haizen_runtime.doors.grpc.framing import (
    ENCODINGS,
    PREFIX_BYTES,
    answer_encoding,
    checked_encoding,
    frame,
    only_message,
    raw_tensors_at,
)
from haizen_runtime.doors.grpc.metadata import OK, Headers, deadline_of, error_trailers, timeout_seconds
from haizen_runtime.doors.grpc.streams import MessageStream
from haizen_runtime.doors.http.body import BodyReader, Receive
from haizen_runtime.doors.http.http2_exchange import Http2Exchange
from haizen_runtime.doors.http.incoming import incoming_of
from haizen_runtime.doors.http.responses import Send
from haizen_runtime.observing.identity import identified
from haizen_runtime.protocol.errors import (
    DeadlineExceeded,
    MethodNotAllowed,
    RequestError,
    RouteNotFound,
    UnsupportedMedia,
)

if TYPE_CHECKING:
    from haizen_runtime.doors.http.app import HttpApp

log = logging.getLogger("haizen_runtime")

CONTENT_TYPE: Final = b"application/grpc"


class GrpcApp:
    """Methods by path. One beside each HttpApp, with which it shares the engine, the counters and the limits."""

    def __init__(self, app: HttpApp) -> None:
        from haizen_runtime.doors.grpc.health import health_methods
        from haizen_runtime.doors.grpc.holding import holding_methods
        from haizen_runtime.doors.grpc.reflection import reflection_methods
        from haizen_runtime.doors.grpc.repository import repository_methods
        from haizen_runtime.doors.grpc.status import status_methods

        self.app = app
        limit = app.settings.max_body_bytes
        self.limit_bytes = limit
        self.decompressed_limit_bytes = app.bodies.decompressed_limit_bytes
        self.max_request_id_bytes = app.settings.limits.request_id_bytes
        self.bodies = BodyReader(limit + PREFIX_BYTES, app.settings.read_timeout_seconds, app.loop)
        self.answer_headers: Headers = [
            (b"content-type", CONTENT_TYPE),
            (b"grpc-accept-encoding", b",".join(ENCODINGS)),
            *app.responder.common,
        ]
        self.unary: dict[str, Unary] = {}
        self.streaming: dict[str, Streaming] = {}
        for methods in (
            status_methods(self),
            repository_methods(self),
            health_methods(self),
            reflection_methods(),
            holding_methods(self),
        ):
            self.add(methods)

    def add(self, methods: Methods) -> None:
        """Register methods; the same path again replaces the former one."""
        for path, unary in methods.unary.items():
            self.unary[path] = unary
        for path, streaming in methods.streaming.items():
            self.streaming[path] = streaming

    @cached_property
    def inference(self) -> Methods:
        """The methods of loaded models. They need numpy, so the loading thread imports them, not the start."""
        from haizen_runtime.doors.grpc.inference import inference_methods

        return inference_methods(self)

    def open_inference(self) -> None:
        """Let calls go straight to the models: none is on its way any more."""
        self.add(self.inference)

    async def __call__(
        self, scope: Mapping[str, Any], receive: Receive, send: Send, headers: Mapping[bytes, bytes]
    ) -> None:
        """One call. An error never leaves as anything but a status. Raises RequestError for what is no gRPC."""
        path = scope["path"]
        _check_protocol(scope, headers)
        encoding = None
        try:
            now = self.app.loop.time()
            timeout = timeout_seconds(headers.get(b"grpc-timeout"))
            deadline = deadline_of(now, timeout, self.app.settings.request_timeout_seconds)
            encoding = checked_encoding(headers.get(b"grpc-encoding"))
            call = GrpcCall(scope, receive, headers, deadline)
            unary = self.unary.get(path)
            if unary is None:
                await self._stream(call, send, encoding)
                return
            if path not in UNCOUNTED:
                self.app.last_request = time.monotonic()
            body: bytes | memoryview | None = self.bodies.read_now(scope, NO_HEADERS)
            if body is None:
                body = await self.bodies.read(receive, NO_HEADERS, raw_tensors_at)
            data, start, end = only_message(body, encoding, self.limit_bytes, self.decompressed_limit_bytes)
            if timeout is not None and timeout <= self.app.loop.time() - now:
                raise DeadlineExceeded("The call's deadline passed before its message was here.")
            pieces = await unary(call, data, start, end)
            if encoding is not None:
                encoding = answer_encoding(encoding, headers.get(b"grpc-accept-encoding"))
            message, trailers = frame(pieces, encoding), OK
        except RequestError as error:
            message, trailers = b"", error_trailers(error)
        except Exception:
            log.exception("gRPC %s failed", path[:200], extra=identified(headers, self.max_request_id_bytes))
            message, trailers = b"", error_trailers(RequestError(FAILED))
        head = self.head(headers, encoding)
        exchange = incoming_of(scope)
        if isinstance(exchange, Http2Exchange) and exchange.answer_call(send, head, message, trailers):
            return
        await send({"type": "http.response.start", "status": 200, "headers": head, "trailers": True})
        await send({"type": "http.response.body", "body": message})
        await send({"type": "http.response.trailers", "headers": trailers})

    async def refuse(self, send: Send, error: RequestError, headers: Mapping[bytes, bytes]) -> None:
        """Answer a call that is not let in."""
        head = self.head(headers, None)
        await send({"type": "http.response.start", "status": 200, "headers": head, "trailers": True})
        await send({"type": "http.response.body", "body": b""})
        await send({"type": "http.response.trailers", "headers": error_trailers(error)})

    async def _stream(self, call: GrpcCall, send: Send, encoding: bytes | None) -> None:
        """A streaming method; the head leaves with the first message, the status at the end."""
        path = call.scope["path"]
        answers = answer_encoding(encoding, call.headers.get(b"grpc-accept-encoding"))
        head = self.head(call.headers, answers)
        stream = MessageStream(
            call.receive, send, head, encoding, answers, self.limit_bytes, self.decompressed_limit_bytes
        )
        trailers = OK
        try:
            streaming = self.streaming.get(path)
            if streaming is None:
                raise RouteNotFound(f"No such method: {path[:200]}")
            await streaming(call, stream)
        except RequestError as error:
            trailers = error_trailers(error)
        except Exception:
            log.exception("gRPC %s failed", path[:200], extra=identified(call.headers, self.max_request_id_bytes))
            trailers = error_trailers(RequestError(FAILED))
        await stream.close(trailers)

    def head(self, request_headers: Mapping[bytes, bytes], encoding: bytes | None) -> Headers:
        """The headers of an answer; the caller's x-request-id comes back."""
        headers = self.answer_headers
        request_id = request_headers.get(b"x-request-id")
        if request_id is not None and len(request_id) <= self.max_request_id_bytes:
            headers = [*headers, (b"x-request-id", request_id)]
        if encoding is not None:
            headers = [*headers, (b"grpc-encoding", encoding)]
        return headers


FAILED: Final = "The server failed on this call; its log says more."
NO_HEADERS: Final[Mapping[bytes, bytes]] = {}
UNCOUNTED: Final = frozenset((
    "/inference.GRPCInferenceService/ServerLive",
    "/inference.GRPCInferenceService/ServerReady",
    "/grpc.health.v1.Health/Check",
))  # fmt: skip
"""Probes: they keep no draining process alive."""


def _check_protocol(scope: Mapping[str, Any], headers: Mapping[bytes, bytes]) -> None:
    """Raise RequestError, answered as HTTP, for what only looks like gRPC (the gRPC specification's rule)."""
    content_type = headers[b"content-type"]
    if content_type != CONTENT_TYPE:
        kind = content_type[len(CONTENT_TYPE) :].split(b";", 1)[0].strip()
        if kind not in (b"", b"+proto"):
            shown = content_type[:60].decode("latin-1")
            raise UnsupportedMedia(f"The content type {shown} is not supported here; send {CONTENT_TYPE.decode()}.")
    if scope["http_version"] != "2":
        raise UnsupportedMedia("gRPC needs HTTP/2.")
    if scope["method"] != "POST":
        raise MethodNotAllowed(scope["method"], "POST")
