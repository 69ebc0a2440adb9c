"""The methods that answer before any model is loaded: health and metadata."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from haizen_runtime.doors.grpc.calls import Buffer, GrpcCall, Methods
from haizen_runtime.doors.http.status import EXTENSIONS
from haizen_runtime.protocol.v2_proto_status import (
    model_metadata,
    read_texts,
    server_metadata,
)
from haizen_runtime.protocol.wire import number_field

if TYPE_CHECKING:
    from haizen_runtime.doors.grpc.app import GrpcApp
    from haizen_runtime.engine.model import Model

SERVICE: Final = "/inference.GRPCInferenceService/"


def status_methods(grpc: GrpcApp) -> Methods:
    """Methods by path."""
    plane = grpc.app.plane

    def model(data: bytes, start: int, end: int) -> Model:
        name, version = read_texts(data, start, end, 2)
        return plane.model(name, version or None)

    async def server_live(call: GrpcCall, data: bytes, start: int, end: int) -> Sequence[Buffer]:
        return (number_field(1, 1),)

    async def server_ready(call: GrpcCall, data: bytes, start: int, end: int) -> Sequence[Buffer]:
        return (number_field(1, plane.ready),)

    async def model_ready(call: GrpcCall, data: bytes, start: int, end: int) -> Sequence[Buffer]:
        return (number_field(1, model(data, start, end).ready),)

    async def metadata(call: GrpcCall, data: bytes, start: int, end: int) -> Sequence[Buffer]:
        from haizen_runtime import __version__

        return (server_metadata("haizen-runtime", __version__, EXTENSIONS),)

    async def metadata_of_model(call: GrpcCall, data: bytes, start: int, end: int) -> Sequence[Buffer]:
        found = model(data, start, end)
        if not found.ready:
            raise found.not_ready()
        return (model_metadata(found.name, plane.registry.versions(found.name), found.metadata),)

    async def config_of_model(call: GrpcCall, data: bytes, start: int, end: int) -> Sequence[Buffer]:
        from haizen_runtime.protocol.model_config import model_config
        from haizen_runtime.protocol.model_config_proto import model_config_response

        return (model_config_response(model_config(model(data, start, end).facts)),)

    async def statistics(call: GrpcCall, data: bytes, start: int, end: int) -> Sequence[Buffer]:
        from haizen_runtime.protocol.statistics_proto import model_statistics_response

        name, version = read_texts(data, start, end, 2)
        return (model_statistics_response(plane.statistics(name or None, version or None)),)

    return Methods(
        {
            SERVICE + "ServerLive": server_live,
            SERVICE + "ServerReady": server_ready,
            SERVICE + "ModelReady": model_ready,
            SERVICE + "ServerMetadata": metadata,
            SERVICE + "ModelMetadata": metadata_of_model,
            SERVICE + "ModelConfig": config_of_model,
            SERVICE + "ModelStatistics": statistics,
        },
    )
