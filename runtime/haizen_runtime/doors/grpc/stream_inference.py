"""ModelStreamInfer: many requests over one call, each answered once or, by a decoupled model, any number of times.

What an answer says about its stream is Triton's: the parameter triton_final_response, an empty last answer for
requests with triton_enable_empty_final_response, errors inside messages unless the metadata has triton_grpc_error.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from haizen_runtime.doors.grpc.calls import Buffer, GrpcCall
from haizen_runtime.engine.call_details import grpc_metadata
from haizen_runtime.engine.metrics import counted
from haizen_runtime.protocol.errors import ClientGone, RequestError
from haizen_runtime.protocol.messages import InferenceResponse
from haizen_runtime.protocol.v2_proto import RequestMessage, decode_request, encode_response, read_request
from haizen_runtime.protocol.wire import bytes_field, text_field

if TYPE_CHECKING:
    from haizen_runtime.doors.grpc.streams import MessageStream
    from haizen_runtime.doors.http.app import HttpSettings
    from haizen_runtime.engine.dataplane import DataPlane
    from haizen_runtime.engine.model import Model

FINAL: Final = "triton_final_response"
EMPTY_FINAL: Final = "triton_enable_empty_final_response"
GRPC_ERROR: Final = b"triton_grpc_error"

Answer = list[Buffer]
Infer = Callable[
    [bytes, RequestMessage, float, GrpcCall, Callable[[], bool], Callable[[InferenceResponse, bool], Answer]],
    Awaitable[Answer],
]
"""One inference, counted and timed. Raises RequestError."""


class StreamInference:
    """One call of ModelStreamInfer."""

    def __init__(
        self,
        plane: DataPlane,
        settings: HttpSettings,
        infer: Infer,
        door: str,
        call: GrpcCall,
        stream: MessageStream,
    ) -> None:
        self._plane = plane
        self._settings = settings
        self._infer = infer
        self._door = door
        self._call = call
        self._stream = stream
        self._fails_as_call = call.headers.get(GRPC_ERROR, b"").lower() == b"true"
        self._ordered: deque[asyncio.Task[Answer]] = deque()
        """Requests with one answer each; they run beside each other and are answered in their order."""
        self._decoupled: set[asyncio.Task[None]] = set()
        """Requests whose answers leave as they are made."""
        self._writing = asyncio.Lock()
        self._closed = False

    async def run(self) -> None:
        """Answer until the client has said all and is answered. Raises RequestError to fail the call."""
        reading: asyncio.Task[bytes | None] | None = asyncio.ensure_future(self._stream.read())
        leaving: asyncio.Task[None] | None = None
        try:
            while reading is not None or self._ordered or self._decoupled:
                waiting_for: list[asyncio.Task[Any]] = [*list(self._ordered)[:1], *self._decoupled]
                if reading is not None and self._has_room():
                    waiting_for.append(reading)
                if leaving is not None:
                    waiting_for.append(leaving)
                await asyncio.wait(waiting_for, return_when=asyncio.FIRST_COMPLETED)
                if reading is not None and reading.done() and self._has_room():
                    message = reading.result()
                    if message is None:
                        reading = None
                        leaving = asyncio.ensure_future(self._stream.disconnected())
                    else:
                        self._begin(message)
                        reading = asyncio.ensure_future(self._stream.read())
                while self._ordered and self._ordered[0].done():
                    await self._write(self._ordered.popleft().result())
                for done in [each for each in self._decoupled if each.done()]:
                    self._decoupled.discard(done)
                    done.result()
                if leaving is not None and leaving.done():
                    raise ClientGone("The client ended the call.")
        finally:
            self._closed = True
            tasks: list[asyncio.Task[Any] | None] = [*self._ordered, *self._decoupled, reading, leaving]
            for task in tasks:
                if task is not None:
                    task.cancel()
            await asyncio.gather(*(task for task in tasks if task is not None), return_exceptions=True)

    async def _write(self, answer: Answer) -> None:
        async with self._writing:
            await self._stream.write(answer)

    def _has_room(self) -> bool:
        return len(self._ordered) + len(self._decoupled) < self._settings.max_stream_requests

    def _begin(self, data: bytes) -> None:
        """Start to answer a message. Raises RequestError where that fails the call."""
        message = read_request(data, 0, len(data), self._settings.limits)
        model = self._known(message)
        if model is not None and model.ready and model.decoupled:
            self._decoupled.add(asyncio.ensure_future(self._many(data, message, model)))
        else:
            self._ordered.append(asyncio.ensure_future(self._one(data, message)))

    def _known(self, message: RequestMessage) -> Model | None:
        try:
            return self._plane.model(message.model, message.version)
        except RequestError:  # told in its turn
            return None

    async def _one(self, data: bytes, message: RequestMessage) -> Answer:
        try:
            return await self._infer(data, message, perf_counter(), self._call, lambda: self._closed, last)
        except RequestError as error:
            return self._failed(message, error)

    async def _many(self, data: bytes, message: RequestMessage, model: Model) -> None:
        metrics, write, raw = model.metrics, self._write, bool(message.raws)
        try:
            with counted(metrics, self._door):
                started = perf_counter()
                request = decode_request(data, message)
                request.deadline = self._call.deadline
                if model.takes_headers:
                    request.headers = grpc_metadata(self._call.headers)
                answers = model.stream(request)
                decoded = perf_counter()
                metrics.preprocess.observe(decoded - started)
                try:
                    async for response in answers:
                        await write(told(response, raw, final=False))
                finally:
                    answers.stop()
                metrics.predict.observe(perf_counter() - decoded)
                if message.parameters.get(EMPTY_FINAL) is True:
                    await write(last(InferenceResponse(model.name, model.version, [], message.id), raw))
        except RequestError as error:
            await write(self._failed(message, error))

    def _failed(self, message: RequestMessage, error: RequestError) -> Answer:
        """What went wrong with which request, as a message: the stream goes on, unless the client wants a status."""
        if self._fails_as_call:
            raise error
        about = InferenceResponse(message.model, message.version, [], message.id, {FINAL: True})
        return [text_field(1, error.message), bytes_field(2, b"".join(encode_response(about, False)))]


def told(response: InferenceResponse, raw: bool, final: bool) -> Answer:
    """A ModelStreamInferResponse."""
    response.parameters = {**(response.parameters or {}), FINAL: final}
    return [bytes_field(2, b"".join(encode_response(response, raw)))]


def last(response: InferenceResponse, raw: bool) -> Answer:
    """The last, or only, answer to a request."""
    return told(response, raw, final=True)
