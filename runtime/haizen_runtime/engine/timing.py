"""Where the time of one request goes, for whoever traces it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from time import time_ns
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from haizen_runtime.engine.model import Model
    from haizen_runtime.protocol.messages import InferenceRequest, InferenceResponse

    Execute = Callable[[Sequence[InferenceRequest]], list[InferenceResponse | Exception]]


@dataclass(slots=True)
class BatchTiming:
    """When the batch of a request ran, in nanoseconds since 1970; 0 for not yet."""

    started: int = 0
    ended: int = 0
    requests: int = 0
    """How many requests were in it."""


class InferenceTracer(Protocol):
    """Follows requests through the queue and the model."""

    async def follow(
        self, model: Model, request: InferenceRequest, answer: Awaitable[InferenceResponse]
    ) -> InferenceResponse:
        """Await the answer of a request that was queued just now. Sets `request.timing` if it wants to know more."""


_tracer: InferenceTracer | None = None


def install_tracer(tracer: InferenceTracer) -> None:
    """Let every model that is started from now on be followed; one for the whole process."""
    global _tracer
    _tracer = tracer


def installed_tracer() -> InferenceTracer | None:
    """The one that was installed; models ask once, when they are started."""
    return _tracer


def timed(execute: Execute, wanted: bool) -> Execute:
    """The same, writing down when for the requests that want to know; if not wanted, the very same."""
    if not wanted:
        return execute

    def run(requests: Sequence[InferenceRequest]) -> list[InferenceResponse | Exception]:
        started = time_ns()
        try:
            return execute(requests)
        finally:
            ended = time_ns()
            for request in requests:
                if request.timing is not None:
                    request.timing.started, request.timing.ended = started, ended
                    request.timing.requests = len(requests)

    return run
