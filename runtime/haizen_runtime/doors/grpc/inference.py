"""ModelInfer and ModelStreamInfer on models that are loaded."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Final

from haizen_runtime.doors.grpc.calls import Buffer, GrpcCall, Methods
from haizen_runtime.doors.grpc.status import SERVICE
from haizen_runtime.doors.http.inference import Presence
from haizen_runtime.protocol.errors import RequestError
from haizen_runtime.protocol.v2_proto import decode_request, encode_response, read_request
from haizen_runtime.protocol.wire import bytes_field, text_field

if TYPE_CHECKING:
    from collections.abc import Callable

    from haizen_runtime.doors.grpc.app import GrpcApp
    from haizen_runtime.doors.grpc.streams import MessageStream

DOOR: Final = "grpc"
"""The label of these doors in the metrics."""
STREAM_CONCURRENCY: Final = 64
"""How many requests of one stream may be under way at once."""


def inference_methods(grpc: GrpcApp) -> Methods:
    """Methods by path."""
    plane = grpc.app.plane

    async def infer(
        data: bytes, start: int, end: int, deadline: float | None, is_cancelled: Callable[[], bool]
    ) -> list[Buffer]:
        """One inference, counted and timed whatever comes of it. Raises RequestError."""
        started = perf_counter()
        message = read_request(data, start, end)
        model = plane.model(message.model, message.version)
        metrics = model.metrics
        metrics.in_flight += 1
        status = 500
        try:
            request = decode_request(data, message)
            request.deadline = deadline
            request.is_cancelled = is_cancelled
            decoded = perf_counter()
            response = await model.infer(request)
            inferred = perf_counter()
            pieces = encode_response(response, bool(message.raws))
            metrics.preprocess.observe(decoded - started)
            metrics.predict.observe(inferred - decoded)
            metrics.postprocess.observe(perf_counter() - inferred)
            status = 200
            return pieces
        except RequestError as error:
            status = error.status
            raise
        finally:
            metrics.in_flight -= 1
            metrics.answered(DOOR, status)

    async def model_infer(call: GrpcCall, data: bytes, start: int, end: int) -> Sequence[Buffer]:
        presence = Presence(call.receive)
        try:
            return await infer(data, start, end, call.deadline, presence.is_gone)
        finally:
            presence.forget()

    async def model_stream_infer(call: GrpcCall, stream: MessageStream) -> None:
        """Requests run beside each other, answers leave in the order of their requests."""
        under_way: deque[asyncio.Task[list[Buffer]]] = deque()
        closed = False

        async def one(message: bytes) -> list[Buffer]:
            try:
                pieces = await infer(message, 0, len(message), call.deadline, lambda: closed)
            except RequestError as error:
                return [text_field(1, error.message)]  # the stream goes on (Triton's rule)
            return [bytes_field(2, b"".join(pieces))]

        reading: asyncio.Task[bytes | None] | None = asyncio.ensure_future(stream.read())
        try:
            while reading is not None or under_way:
                waiting_for: list[asyncio.Task[bytes | None] | asyncio.Task[list[Buffer]]] = [*list(under_way)[:1]]
                if reading is not None and len(under_way) < STREAM_CONCURRENCY:
                    waiting_for.append(reading)
                await asyncio.wait(waiting_for, return_when=asyncio.FIRST_COMPLETED)
                if reading is not None and reading.done() and len(under_way) < STREAM_CONCURRENCY:
                    message = reading.result()
                    reading = None
                    if message is not None:
                        under_way.append(asyncio.ensure_future(one(message)))
                        reading = asyncio.ensure_future(stream.read())
                while under_way and under_way[0].done():
                    await stream.write(under_way.popleft().result())
        finally:
            closed = True
            for task in (*under_way, *((reading,) if reading is not None else ())):
                task.cancel()

    return Methods({SERVICE + "ModelInfer": model_infer}, {SERVICE + "ModelStreamInfer": model_stream_infer})
