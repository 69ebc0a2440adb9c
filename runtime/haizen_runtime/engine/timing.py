"""Where the time of one request goes, for whoever traces it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from time import time_ns
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from haizen_runtime.engine.model import Model
    from haizen_runtime.protocol.messages import InferenceRequest, InferenceResponse

    Execute = Callable[[Sequence[InferenceRequest]], list[InferenceResponse | Exception]]


Carrier = dict[str, str]
"""What lets another process continue a trace: headers as W3C Trace Context has them."""

CARRIER: ContextVar[Carrier | None] = ContextVar("haizen_carrier", default=None)
"""Set while a batch runs of which a request is traced; of several it is the first one's whose trace is kept."""


class BatchTiming(Protocol):
    """Is told when the batch of a request runs, on the thread that runs it; times are nanoseconds since 1970."""

    @property
    def recorded(self) -> bool:
        """Whether its trace is kept; other processes have to know in either case."""

    def begin(self, now: int, requests: int) -> Carrier:
        """It runs, with so many requests; returns what the model's own spans are to be part of."""

    def end(self, now: int) -> None:
        """It has run."""


class InferenceTracer(Protocol):
    """Follows requests through the queue and the model."""

    def follow(
        self, model: Model, request: InferenceRequest, answer: Awaitable[InferenceResponse]
    ) -> Awaitable[InferenceResponse]:
        """The answer of a request that was queued just now, followed while it is awaited.

        Sets `request.timing` at once if it wants to know more: its batch may run before anybody awaits the answer.
        """

    def waited(self, name: str, since: int) -> None:
        """The current request has waited for a model of this name to be loaded, or to fail, since then."""


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
        followed = [request.timing for request in requests if request.timing is not None]
        if not followed:
            return execute(requests)
        started = time_ns()
        followed.sort(key=lambda timing: not timing.recorded)
        carriers = [timing.begin(started, len(requests)) for timing in followed]
        token = CARRIER.set(carriers[0])
        try:
            return execute(requests)
        finally:
            CARRIER.reset(token)
            ended = time_ns()
            for timing in followed:
                timing.end(ended)

    return run
