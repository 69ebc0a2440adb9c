"""ModelInfer and ModelStreamInfer on models that are loaded."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Final

from haizen_runtime.doors.grpc.calls import Buffer, GrpcCall, Methods
from haizen_runtime.doors.grpc.status import SERVICE
from haizen_runtime.doors.http.incoming import presence_of
from haizen_runtime.engine.call_details import grpc_metadata
from haizen_runtime.protocol.errors import RequestError
from haizen_runtime.protocol.messages import InferenceResponse
from haizen_runtime.protocol.v2_proto import RequestMessage, decode_request, encode_response, read_request

if TYPE_CHECKING:
    from haizen_runtime.doors.grpc.app import GrpcApp
    from haizen_runtime.doors.grpc.streams import MessageStream

DOOR: Final = "grpc"
"""The label of these doors in the metrics."""

Encode = Callable[[InferenceResponse, bool], list[Buffer]]
"""An answer to the pieces of a message; with raw contents, when the flag is set."""


def inference_methods(grpc: GrpcApp) -> Methods:
    """Methods by path."""
    plane, settings = grpc.app.plane, grpc.app.settings
    limits = settings.limits

    async def infer(
        data: bytes,
        message: RequestMessage,
        started: float,
        call: GrpcCall,
        is_cancelled: Callable[[], bool] | None,
        encode: Encode = encode_response,
    ) -> list[Buffer]:
        """One inference, counted, and timed since it `started`, whatever comes of it. Raises RequestError."""
        model = plane.model(message.model, message.version)
        metrics = model.metrics
        metrics.in_flight += 1
        status = 500
        try:
            request = decode_request(data, message)
            request.deadline = call.deadline
            request.is_cancelled = is_cancelled
            if model.takes_headers:
                request.headers = grpc_metadata(call.headers)
            decoded = perf_counter()
            response = await model.submit(request)
            inferred = perf_counter()
            pieces = encode(response, bool(message.raws))
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

    def model_infer(call: GrpcCall, data: bytes, start: int, end: int) -> Awaitable[Sequence[Buffer]]:
        started = perf_counter()
        return infer(data, read_request(data, start, end, limits), started, call, presence_of(call.scope))

    async def model_stream_infer(call: GrpcCall, stream: MessageStream) -> None:
        from haizen_runtime.doors.grpc.stream_inference import StreamInference

        await StreamInference(plane, settings, infer, DOOR, call, stream).run()

    return Methods({SERVICE + "ModelInfer": model_infer}, {SERVICE + "ModelStreamInfer": model_stream_infer})
