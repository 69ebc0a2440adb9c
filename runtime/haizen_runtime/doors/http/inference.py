"""The inference endpoints: v1 predict and v2 infer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import TYPE_CHECKING

from haizen_runtime.doors.http.answer_headers import with_model_headers
from haizen_runtime.doors.http.codecs import (
    JSON_LENGTH,
    Decode,
    Encode,
    V1Codec,
    decode_v2,
    decode_v2_binary,
    encode_v2,
    length_of,
)
from haizen_runtime.doors.http.events import EventCodec, is_event
from haizen_runtime.doors.http.incoming import incoming_of, presence_of
from haizen_runtime.doors.http.timeouts import TIMEOUT_HEADER, deadline_of
from haizen_runtime.engine.call_details import http_headers
from haizen_runtime.engine.json_bodies import body_answer
from haizen_runtime.protocol.errors import RequestError, UnsupportedMedia

if TYPE_CHECKING:
    from haizen_runtime.doors.http.app import Call, Endpoint, HttpApp
    from haizen_runtime.engine.model import Model
    from haizen_runtime.protocol.messages import InferenceRequest, InferenceResponse


Check = Callable[[bytes], None]


def inference_endpoints(app: HttpApp) -> dict[str, Endpoint]:
    """Endpoint names to endpoints."""
    from haizen_runtime.doors.http.generate import generate_endpoints
    from haizen_runtime.doors.http.invocations import invocations

    limits = app.settings.limits

    def v1_predict(call: Call) -> Awaitable[None]:
        model = app.plane.model(call.match.model, call.match.version)
        codec = V1Codec(model, limits, call.match.version)
        return serve_inference(app, call, model, "v1", codec.decode, codec.encode)

    def v1_explain(call: Call) -> Awaitable[None]:
        model = app.plane.model(call.match.model, call.match.version)
        codec = V1Codec(model, limits, call.match.version)
        return serve_inference(app, call, model, "v1", codec.decode, explained, explain=True)

    def v2_infer(call: Call) -> Awaitable[None]:
        model = app.plane.model(call.match.model, call.match.version)
        version = call.match.version
        header = call.headers.get(JSON_LENGTH)
        if header is None:
            return serve_inference(
                app, call, model, "v2", lambda body: decode_v2(body, model.name, version, limits), encode_v2,
                check_json_or_octets,
            )  # fmt: skip
        length = length_of(header)
        return serve_inference(
            app, call, model, "v2", lambda body: decode_v2_binary(body, length, model, version, limits), encode_v2,
            check_json_or_octets, max(length, 0),
        )  # fmt: skip

    invoke = invocations(app)
    return {
        "v1.predict": v1_predict,
        "v1.explain": v1_explain,
        "v2.infer": v2_infer,
        "sagemaker.invoke": invoke,
        "vertex.predict": invoke,
        **generate_endpoints(app),
    }


def explained(response: InferenceResponse, request: InferenceRequest) -> bytes:
    """An explanation is the body of its answer."""
    body = body_answer(response)
    assert body is not None
    return body


async def serve_inference(
    app: HttpApp,
    call: Call,
    model: Model,
    door: str,
    decode: Decode,
    encode: Encode,
    check: Check | None = None,
    json_length: int = 0,
    explain: bool = False,
) -> None:
    """One inference, or explanation: read, decode, infer, encode, send; counted and timed whatever comes of it.

    An event is answered by an event, whatever the door. `check` refuses content types (by default all that cannot be
    JSON); `json_length` is what BodyReader.read wants.
    """
    metrics, settings, headers = model.metrics, app.settings, call.headers
    content_type = headers.get(b"content-type")
    plain = content_type is None or content_type == b"application/json"
    if (not plain or b"ce-id" in headers) and is_event(headers):
        event = EventCodec(headers, settings.events, settings.limits, model.name)
        decode, encode, check = event.decoder(decode), event.encoder(encode), event.checker(check or check_json)
    metrics.in_flight += 1
    status = 500
    try:
        if content_type is not None and not plain:
            (check or check_json)(content_type)
        body: bytes | memoryview | None = app.bodies.read_now(call.scope, headers)
        if body is None:
            body = await app.bodies.read(call.receive, headers, json_length)
        started = perf_counter()
        request = decode(body)
        request.deadline = deadline_of(app.loop.time(), headers.get(TIMEOUT_HEADER), settings.request_timeout_seconds)
        request.is_cancelled = presence_of(call.scope)
        if model.takes_headers:
            request.headers = http_headers(headers)
        decoded = perf_counter()
        response = await (model.explain(request) if explain else model.submit(request))
        inferred = perf_counter()
        answer = encode(response, request)
        if response.headers is not None:
            answer = with_model_headers(answer, response.headers, headers)
        metrics.preprocess.observe(decoded - started)
        (metrics.explain if explain else metrics.predict).observe(inferred - decoded)
        metrics.postprocess.observe(perf_counter() - inferred)
        status = 200
    except RequestError as error:
        status = error.status
        raise
    finally:
        metrics.in_flight -= 1
        metrics.answered(door, status)
    await app.responder.inference(call.send, answer, headers, incoming_of(call.scope))


def check_json(content_type: bytes) -> None:
    """JSON, or nothing said, or what curl says by default: KServe's server reads them all as JSON."""
    kind = content_type.split(b";", 1)[0].strip().lower()
    if kind in (b"", b"application/json", b"application/x-www-form-urlencoded", b"text/plain", b"text/json"):
        return
    if kind.endswith(b"+json") and not kind.startswith(b"application/cloudevents"):
        return
    shown = kind[:60].decode("latin-1")
    raise UnsupportedMedia(f"The content type {shown} is not supported here; send application/json.")


def check_json_or_octets(content_type: bytes) -> None:
    """v2 may be binary; and some clients say so of JSON, too (aiohttp's default for bytes)."""
    if content_type.split(b";", 1)[0].strip().lower() != b"application/octet-stream":
        check_json(content_type)
