"""grpc.health.v1.Health, the standard health service: Check, and Watch, which tells every change.

Its messages (https://github.com/grpc/grpc/blob/master/doc/health-checking.md): a request names a service in field 1,
an answer has the status in field 1.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from enum import IntEnum
from typing import TYPE_CHECKING, Final

from haizen_runtime.doors.grpc.calls import Buffer, GrpcCall, Methods
from haizen_runtime.protocol.errors import ModelNotReady, ServiceNotFound
from haizen_runtime.protocol.v2_proto_status import read_texts
from haizen_runtime.protocol.wire import number_field

if TYPE_CHECKING:
    from haizen_runtime.doors.grpc.app import GrpcApp
    from haizen_runtime.doors.grpc.streams import MessageStream

SERVICES: Final = frozenset(("", "inference.GRPCInferenceService", "grpc.health.v1.Health"))
WATCH_SECONDS: Final = 0.25
"""How often the state is looked at while somebody watches it."""


class Health(IntEnum):
    """The service's ServingStatus."""

    SERVING = 1
    NOT_SERVING = 2
    SERVICE_UNKNOWN = 3


def health_methods(grpc: GrpcApp) -> Methods:
    """Methods by path."""
    plane = grpc.app.plane

    def state() -> Health:
        return Health.SERVING if plane.ready else Health.NOT_SERVING

    async def check(call: GrpcCall, data: bytes, start: int, end: int) -> Sequence[Buffer]:
        (service,) = read_texts(data, start, end, 1)
        if service not in SERVICES:
            raise ServiceNotFound(service)
        return (number_field(1, state()),)

    async def watch(call: GrpcCall, stream: MessageStream) -> None:
        message = await stream.only()
        (service,) = read_texts(message, 0, len(message), 1)
        gone = asyncio.ensure_future(stream.disconnected())
        told: Health | None = None
        try:
            while not gone.done():
                now = state() if service in SERVICES else Health.SERVICE_UNKNOWN
                if now is not told:
                    await stream.write((number_field(1, now),))
                    told = now
                if plane.draining:  # the process must not wait for those who watch it end
                    raise ModelNotReady("The server is shutting down.")
                await asyncio.wait((gone,), timeout=WATCH_SECONDS)
        finally:
            gone.cancel()

    return Methods({"/grpc.health.v1.Health/Check": check}, {"/grpc.health.v1.Health/Watch": watch})
