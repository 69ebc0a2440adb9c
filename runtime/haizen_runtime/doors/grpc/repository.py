"""The model repository extension: which models there are, loading and unloading one of them.

Its models are those that the process was started with; KServe's and Triton's clients both can ask (see
`open_inference.proto`). A name stands for all versions of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from haizen_runtime.doors.grpc.calls import Buffer, GrpcCall, Methods
from haizen_runtime.doors.grpc.status import SERVICE
from haizen_runtime.doors.http.repository import check_parameters, control_is_off, described
from haizen_runtime.protocol.v2_proto_status import model_index, read_flag, read_names, read_texts, repository_change

if TYPE_CHECKING:
    from haizen_runtime.doors.grpc.app import GrpcApp


def repository_methods(grpc: GrpcApp) -> Methods:
    """Methods by path."""
    plane = grpc.app.plane

    def wanted(data: bytes, start: int, end: int) -> str:
        check_parameters(read_names(data, start, end, 3))
        first, second = read_texts(data, start, end, 2)
        return second or first

    async def index(call: GrpcCall, data: bytes, start: int, end: int) -> Sequence[Buffer]:
        only_ready = read_flag(data, start, end, 2)
        return [model_index(**described(each)) for each in plane.registry if each.ready or not only_ready]

    async def load(call: GrpcCall, data: bytes, start: int, end: int) -> Sequence[Buffer]:
        name = wanted(data, start, end)
        await plane.changes.load(name)
        return (repository_change(name),)

    async def unload(call: GrpcCall, data: bytes, start: int, end: int) -> Sequence[Buffer]:
        name = wanted(data, start, end)
        await plane.changes.unload(name)
        return (repository_change(name),)

    async def refuse(call: GrpcCall, data: bytes, start: int, end: int) -> Sequence[Buffer]:
        raise control_is_off()

    if not grpc.app.settings.model_control:
        load = unload = refuse
    return Methods({
        SERVICE + "RepositoryIndex": index,
        SERVICE + "RepositoryModelLoad": load,
        SERVICE + "RepositoryModelUnload": unload,
    })  # fmt: skip
