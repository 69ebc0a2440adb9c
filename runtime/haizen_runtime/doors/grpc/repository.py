"""The model repository extension: which models there are, loading and unloading one of them.

Its models are those that the process was started with; KServe's and Triton's clients both can ask (see
`open_inference.proto`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from haizen_runtime.doors.grpc.calls import Buffer, GrpcCall, Methods
from haizen_runtime.doors.grpc.status import SERVICE
from haizen_runtime.engine.model import State
from haizen_runtime.protocol.errors import StartError
from haizen_runtime.protocol.v2_proto_status import model_index, read_flag, read_texts, repository_change

if TYPE_CHECKING:
    from haizen_runtime.doors.grpc.app import GrpcApp
    from haizen_runtime.engine.model import Model


def repository_methods(grpc: GrpcApp) -> Methods:
    """Methods by path."""
    plane = grpc.app.plane

    def wanted(data: bytes, start: int, end: int) -> Model:
        first, second = read_texts(data, start, end, 2)
        return plane.model(second or first)

    async def index(call: GrpcCall, data: bytes, start: int, end: int) -> Sequence[Buffer]:
        only_ready = read_flag(data, start, end, 2)
        return [
            model_index(each.name, each.version, each.state.value, each.error.message if each.error else "")
            for each in plane.registry
            if each.ready or not only_ready
        ]

    async def load(call: GrpcCall, data: bytes, start: int, end: int) -> Sequence[Buffer]:
        model = wanted(data, start, end)
        if model.state in (State.UNLOADED, State.FAILED):
            try:
                await plane.load(model)
            except StartError:
                raise model.not_ready() from None
        if not model.ready:
            raise model.not_ready()
        return (repository_change(model.name),)

    async def unload(call: GrpcCall, data: bytes, start: int, end: int) -> Sequence[Buffer]:
        model = wanted(data, start, end)
        if model.ready:
            await plane.unload(model)
        if model.state is not State.UNLOADED:
            raise model.not_ready()
        return (repository_change(model.name),)

    return Methods({
        SERVICE + "RepositoryIndex": index,
        SERVICE + "RepositoryModelLoad": load,
        SERVICE + "RepositoryModelUnload": unload,
    })  # fmt: skip
