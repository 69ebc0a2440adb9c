"""The generate extension (Triton's): one JSON answer, or a stream of server-sent events."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from time import perf_counter
from typing import TYPE_CHECKING, Final

from haizen_runtime.doors.http.answer_headers import with_model_headers
from haizen_runtime.doors.http.inference import check_json
from haizen_runtime.doors.http.timeouts import TIMEOUT_HEADER, deadline_of
from haizen_runtime.engine.call_details import http_headers
from haizen_runtime.engine.metrics import counted
from haizen_runtime.protocol.errors import ClientGone, InvalidInput, RequestError
from haizen_runtime.protocol.generate_json import encode_answer, error_event, event, request_from
from haizen_runtime.protocol.json_body import parse_object

if TYPE_CHECKING:
    from collections.abc import Iterator

    from haizen_runtime.doors.http.app import Call, Endpoint, HttpApp
    from haizen_runtime.doors.http.responses import Answer
    from haizen_runtime.engine.model import Model
    from haizen_runtime.engine.streams import AnswerStream

EVENT_STREAM: Final = (b"content-type", b"text/event-stream; charset=utf-8")
NO_CACHE: Final = (b"cache-control", b"no-cache")
DOOR: Final = "v2"
NOT_ONE: Final = (
    "generate expects model to produce exactly 1 response, "
    "use generate stream for models that generate various number of responses"
)
"""Triton's text."""


def generate_endpoints(app: HttpApp) -> dict[str, Endpoint]:
    """Endpoint names to endpoints."""
    limits = app.settings.limits

    async def generate(call: Call) -> None:
        model = app.plane.model(call.match.model, call.match.version)
        with counted(model.metrics, DOOR):
            answers = await begin(call, model)
            queued = perf_counter()
            found = []
            with read(call, answers) as gone:
                async for response in answers:
                    found.append(response)
                    if len(found) > 1:
                        break
            if gone.done() and not gone.cancelled():
                raise ClientGone("The client closed the connection before the answer.")
            if len(found) != 1:
                raise InvalidInput(NOT_ONE)
            inferred = perf_counter()
            answer: bytes | Answer = encode_answer(found[0])
            if found[0].headers is not None:
                answer = with_model_headers(answer, found[0].headers, call.headers)
            model.metrics.predict.observe(inferred - queued)
            model.metrics.postprocess.observe(perf_counter() - inferred)
        await app.responder.inference(call.send, answer, call.headers)

    async def generate_stream(call: Call) -> None:
        model = app.plane.model(call.match.model, call.match.version)
        with counted(model.metrics, DOOR) as outcome:
            answers = await begin(call, model)
            queued = perf_counter()
            started = False

            async def send(data: bytes) -> None:
                nonlocal started
                if not started:
                    started = True
                    await app.responder.begin(call.send, EVENT_STREAM, call.headers, [NO_CACHE])
                await call.send({"type": "http.response.body", "body": data, "more_body": True})

            with read(call, answers) as gone:
                try:
                    async for response in answers:
                        await send(event(encode_answer(response)))
                except RequestError as error:
                    if not started:  # then it is an answer like any other
                        raise
                    outcome.status = error.status
                    await send(error_event(error.message))
            model.metrics.predict.observe(perf_counter() - queued)
            if gone.done() and not gone.cancelled():
                outcome.status = ClientGone.status
                return
            if not started:
                await send(b"")
            await call.send({"type": "http.response.body", "body": b""})

    async def begin(call: Call, model: Model) -> AnswerStream:
        """Read the request and put it into the model's queue."""
        content_type = call.headers.get(b"content-type")
        if content_type is not None and content_type != b"application/json":
            check_json(content_type)
        body = await app.bodies.read(call.receive, call.headers)
        started = perf_counter()
        payload = parse_object(body, limits.json_depth)
        request = request_from(payload, model.name, model.metadata, model.takes_anything, model.batchable, limits)
        request.version = call.match.version
        header = call.headers.get(TIMEOUT_HEADER)
        request.deadline = deadline_of(app.loop.time(), header, app.settings.request_timeout_seconds)
        if model.takes_headers:
            request.headers = http_headers(call.headers)
        model.metrics.preprocess.observe(perf_counter() - started)
        return model.stream(request)

    return {"v2.generate": generate, "v2.generate_stream": generate_stream}


@contextmanager
def read(call: Call, answers: AnswerStream) -> Iterator[asyncio.Future[object]]:
    """Stop the answers when the client goes, and in any case at the end of the block; gives what is done then."""
    gone: asyncio.Future[object] = asyncio.ensure_future(call.receive())  # nothing else comes after the body
    gone.add_done_callback(lambda _: answers.stop())
    try:
        yield gone
    finally:
        answers.stop()
        gone.cancel()
