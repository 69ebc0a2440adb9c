"""ModelInfer before all models are loaded: calls wait instead of failing, as HTTP's requests do.

Once the models are loaded, these methods are replaced and cost nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from haizen_runtime.doors.grpc.calls import Buffer, GrpcCall, Methods
from haizen_runtime.doors.grpc.status import SERVICE
from haizen_runtime.protocol.errors import ClientGone, ModelNotReady, QueueFull, RequestError
from haizen_runtime.protocol.v2_proto_status import read_texts

if TYPE_CHECKING:
    from haizen_runtime.doors.grpc.app import GrpcApp
    from haizen_runtime.doors.grpc.streams import MessageStream
    from haizen_runtime.engine.model import Model


def holding_methods(grpc: GrpcApp) -> Methods:
    """Methods by path."""
    app = grpc.app
    plane = app.plane
    held = app.held

    async def model_infer(call: GrpcCall, data: bytes, start: int, end: int) -> Sequence[Buffer]:
        name, version = read_texts(data, start, end, 2)
        model = plane.model(name, version or None)
        try:
            if not model.settled:
                held.count += len(data)
                try:
                    await wait(model, call)
                finally:
                    held.count -= len(data)
            if not model.ready:
                raise model.not_ready()
        except RequestError as error:
            model.metrics.answered("grpc", error.status)
            raise
        return await grpc.inference.unary[SERVICE + "ModelInfer"](call, data, start, end)

    async def wait(model: Model, call: GrpcCall) -> None:
        """Wait until the model is loaded or has failed. Raises RequestError."""
        if held.count > held.limit:
            model.metrics.dropped("queue_full")
            raise QueueFull(f"The requests that wait for a model have more than {held.limit} bytes; try again later.")
        with plane.waiting.place(model, call.deadline) as opened:
            gone = asyncio.ensure_future(call.receive())  # after the message comes nothing but the disconnect
            try:
                await asyncio.wait((gone, opened), return_when=asyncio.FIRST_COMPLETED)
                if gone.done() and not opened.done():
                    model.metrics.dropped("cancelled")
                    raise ClientGone("The client ended the call before its model was loaded.")
                opened.result()
            finally:
                gone.cancel()
                await asyncio.wait((gone,))

    async def model_stream_infer(call: GrpcCall, stream: MessageStream) -> None:
        if not plane.ready:
            raise ModelNotReady("The models are not loaded yet.")
        await grpc.inference.streaming[SERVICE + "ModelStreamInfer"](call, stream)

    return Methods({SERVICE + "ModelInfer": model_infer}, {SERVICE + "ModelStreamInfer": model_stream_infer})
