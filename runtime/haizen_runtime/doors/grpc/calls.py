"""What a call and a method are."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from haizen_runtime.doors.grpc.streams import MessageStream
from haizen_runtime.doors.http.body import Receive

Buffer = bytes | memoryview


@dataclass(slots=True)
class GrpcCall:
    """One call on its way to a method."""

    scope: Mapping[str, Any]
    receive: Receive
    headers: Mapping[bytes, bytes]
    deadline: float | None
    """On the event loop's clock; None for none."""


Unary = Callable[[GrpcCall, bytes, int, int], Awaitable[Sequence[Buffer]]]
"""Takes the call, a buffer and the span of the message in it; gives the pieces of the answer's message."""
Streaming = Callable[[GrpcCall, MessageStream], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Methods:
    """Methods by their path, `/package.Service/Method`."""

    unary: Mapping[str, Unary]
    streaming: Mapping[str, Streaming] = field(default_factory=dict)
