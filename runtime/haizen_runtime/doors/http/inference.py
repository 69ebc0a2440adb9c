"""The inference endpoints: v1 predict and v2 infer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING

from haizen_runtime.doors.http.body import Receive
from haizen_runtime.doors.http.timeouts import TIMEOUT_HEADER, deadline_of
from haizen_runtime.protocol import v1_json, v2_json
from haizen_runtime.protocol.errors import RequestError, UnsupportedMedia
from haizen_runtime.protocol.messages import InferenceRequest, InferenceResponse

if TYPE_CHECKING:
    from haizen_runtime.doors.http.app import Call, Endpoint, HttpApp
    from haizen_runtime.engine.model import Model


class Presence:
    """Whether the client still waits. Asked only of requests that wait, so the usual one pays for no watching task."""

    __slots__ = ("_receive", "_task")

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._task: asyncio.Task[object] | None = None

    def is_gone(self) -> bool:
        """True once the server has seen the connection or stream closed. The first call starts to listen for it."""
        if self._task is None:
            self._task = asyncio.ensure_future(self._receive())  # after the body comes nothing but the disconnect
            return False
        return self._task.done()

    def forget(self) -> None:
        """Stop listening."""
        if self._task is not None:
            self._task.cancel()


def inference_endpoints(app: HttpApp) -> dict[str, Endpoint]:
    """Endpoint names to endpoints."""

    async def v1_predict(call: Call) -> None:
        model = app.plane.model(call.match.model)
        await _serve(
            app, call, model, "v1", lambda body: v1_json.decode_request(body, model.name, model.metadata),
            v1_json.encode_response,
        )  # fmt: skip

    async def v2_infer(call: Call) -> None:
        model = app.plane.model(call.match.model, call.match.version)
        version = call.match.version
        await _serve(
            app, call, model, "v2", lambda body: v2_json.decode_request(body, model.name, version),
            v2_json.encode_response,
        )  # fmt: skip

    return {"v1.predict": v1_predict, "v2.infer": v2_infer}


async def _serve(
    app: HttpApp,
    call: Call,
    model: Model,
    door: str,
    decode: Callable[[bytes], InferenceRequest],
    encode: Callable[[InferenceResponse], bytes],
) -> None:
    """One inference: read, decode, infer, encode, send; counted and timed whatever comes of it."""
    metrics, settings = model.metrics, app.settings
    metrics.in_flight += 1
    presence = Presence(call.receive)
    status = 500
    try:
        content_type = call.headers.get(b"content-type")
        if content_type is not None and content_type != b"application/json":
            _check_content_type(content_type)
        body = await app.bodies.read(call.receive, call.headers)
        started = perf_counter()
        request = decode(body)
        request.deadline = deadline_of(
            app.loop.time(), call.headers.get(TIMEOUT_HEADER), settings.request_timeout_seconds
        )
        request.is_cancelled = presence.is_gone
        decoded = perf_counter()
        response = await model.infer(request)
        inferred = perf_counter()
        answer = encode(response)
        metrics.preprocess.observe(decoded - started)
        metrics.predict.observe(inferred - decoded)
        metrics.postprocess.observe(perf_counter() - inferred)
        status = 200
    except RequestError as error:
        status = error.status
        raise
    finally:
        presence.forget()
        metrics.in_flight -= 1
        metrics.answered(door, status)
    await app.responder.json(call.send, 200, answer, call.headers)


def _check_content_type(content_type: bytes) -> None:
    """JSON, or nothing said, or what curl says by default: KServe's server reads them all as JSON."""
    kind = content_type.split(b";", 1)[0].strip().lower()
    if kind in (b"", b"application/json", b"application/x-www-form-urlencoded", b"text/plain", b"text/json"):
        return
    if kind.endswith(b"+json") and kind != b"application/cloudevents+json":
        return
    shown = kind[:60].decode("latin-1")
    raise UnsupportedMedia(f"The content type {shown} is not supported here; send application/json.")
