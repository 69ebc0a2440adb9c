"""grpc.reflection.v1 and v1alpha: which services and messages there are, for tools such as grpcurl.

Its messages: `protocol/reflection.proto`.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from haizen_runtime.doors.grpc.calls import GrpcCall, Methods
from haizen_runtime.protocol.errors import GrpcStatus
from haizen_runtime.protocol.proto_files import ProtoFile, read_proto
from haizen_runtime.protocol.wire import LENGTH, bytes_field, number_field, read_fields, text, text_field

if TYPE_CHECKING:
    from haizen_runtime.doors.grpc.streams import MessageStream

_HOST, _BY_NAME, _BY_SYMBOL, _BY_EXTENSION, _EXTENSIONS_OF, _LIST = 1, 3, 4, 5, 6, 7
_V1: Final = "grpc.reflection.v1"
_V1ALPHA: Final = "grpc.reflection.v1alpha"


@cache
def proto_files() -> tuple[ProtoFile, ...]:
    """Every .proto file whose services this server has."""
    folder = files("haizen_runtime.protocol")
    sources = {
        name: (folder / name).read_text() for name in ("open_inference.proto", "health.proto", "reflection.proto")
    }
    alpha = sources["reflection.proto"].replace(f"package {_V1};", f"package {_V1ALPHA};")
    sources["reflection_v1alpha.proto"] = alpha
    return tuple(read_proto(name, source) for name, source in sources.items())


def reflection_methods() -> Methods:
    """Methods by path."""

    async def server_reflection_info(call: GrpcCall, stream: MessageStream) -> None:
        while (message := await stream.read()) is not None:
            await stream.write((reflect(message),))

    return Methods(
        {}, {f"/{package}.ServerReflection/ServerReflectionInfo": server_reflection_info for package in (_V1, _V1ALPHA)}
    )


def reflect(request: bytes) -> bytes:
    """The answer to one ServerReflectionRequest. Raises MalformedMessage."""
    host = wanted = ""
    asked = 0
    for key, first, stop in read_fields(request, 0, len(request)):
        if key & 7 != LENGTH:
            continue
        if key >> 3 == _HOST:
            host = text(request, first, stop)
        elif key >> 3 in (_BY_NAME, _BY_SYMBOL, _EXTENSIONS_OF, _LIST):
            asked, wanted = key >> 3, text(request, first, stop)
        elif key >> 3 == _BY_EXTENSION:
            asked, wanted = key >> 3, ""
    return text_field(1, host) + bytes_field(2, request) + _answer(asked, wanted)


def _answer(asked: int, wanted: str) -> bytes:
    if asked == _LIST:
        services = [service for file in proto_files() for service in file.services]
        return bytes_field(6, b"".join(bytes_field(1, text_field(1, service)) for service in services))
    for file in proto_files():
        if (asked == _BY_NAME and wanted == file.name) or (asked == _BY_SYMBOL and wanted in file.symbols):
            return bytes_field(4, bytes_field(1, file.descriptor))
        if asked == _EXTENSIONS_OF and wanted in file.symbols:
            return bytes_field(5, text_field(1, wanted))
    if not asked:
        return _error(GrpcStatus.INVALID_ARGUMENT, "The request asks for nothing.")
    return _error(GrpcStatus.NOT_FOUND, f"There is no {wanted[:80] or 'extension'} here.")


def _error(status: GrpcStatus, message: str) -> bytes:
    return bytes_field(7, number_field(1, status) + text_field(2, message))
