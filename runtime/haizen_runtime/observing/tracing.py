"""Traces over OpenTelemetry: a span for each request, and under it one for its wait in the queue and one for its batch.

Set up by the standard variables (OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_TRACES_EXPORTER, OTEL_TRACES_SAMPLER …) and off
without them; then nothing of OpenTelemetry is imported. Spans leave on a thread of the SDK's, through a queue with a
bound: a collector that is slow or gone costs spans and never a request.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Awaitable, Mapping
from time import time_ns
from typing import TYPE_CHECKING, Final

from haizen_runtime.observing.logs import OncePerMinute

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span

    from haizen_runtime.engine.model import Model
    from haizen_runtime.engine.timing import Carrier
    from haizen_runtime.protocol.messages import InferenceRequest, InferenceResponse

log = logging.getLogger("haizen_runtime")

CLOSE_SECONDS: Final = 2.0
"""How long the last spans may take to leave when the process ends."""


def is_wanted(environment: Mapping[str, str]) -> bool:
    """Whether the standard variables ask for traces over OTLP."""
    if environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    exporters = [each.strip() for each in environment.get("OTEL_TRACES_EXPORTER", "").split(",") if each.strip()]
    if exporters:
        return "otlp" in exporters
    return bool(environment.get("OTEL_EXPORTER_OTLP_ENDPOINT") or environment.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"))


def start_tracing(environment: Mapping[str, str]) -> Tracing | None:
    """Traces as the variables say; None when they are off, or cannot be had (a warning says why: serving goes on)."""
    if not is_wanted(environment):
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        log.warning("traces are asked for and off: OpenTelemetry is not installed (haizen[tracing])")
        return None
    protocol = environment.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or environment.get("OTEL_EXPORTER_OTLP_PROTOCOL")
    if protocol not in (None, "", "http/protobuf"):
        log.warning("traces leave as http/protobuf only (a collector's port 4318), not as %s", protocol[:40])
    for handler in logging.getLogger().handlers:
        handler.addFilter(OncePerMinute("opentelemetry"))
    from haizen_runtime import __version__

    resource = Resource.create({"service.version": __version__, **_service_name(environment)})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Tracing(provider)


def _service_name(environment: Mapping[str, str]) -> dict[str, str]:
    """Knative's name of the service, unless the variables name one."""
    named = environment.get("OTEL_SERVICE_NAME") or "service.name=" in environment.get("OTEL_RESOURCE_ATTRIBUTES", "")
    return {} if named else {"service.name": environment.get("K_SERVICE") or "haizen-runtime"}


class Tracing:
    """Makes the spans; an InferenceTracer of the engine."""

    def __init__(self, provider: TracerProvider) -> None:
        from opentelemetry.trace import get_current_span

        self.provider = provider
        self._current_span = get_current_span
        self.tracer = provider.get_tracer("haizen_runtime")

    def follow(
        self, model: Model, request: InferenceRequest, answer: Awaitable[InferenceResponse]
    ) -> Awaitable[InferenceResponse]:
        """The answer; once it is there, spans tell where the time went, if the request's trace is recorded."""
        if not self._current_span().is_recording():
            request.timing = Execution(self, None)
            return answer
        attributes = {"haizen.model.name": model.name, "haizen.model.version": model.version}
        timing = request.timing = Execution(self, attributes)
        return self._told(attributes, timing, time_ns(), answer)

    async def _told(
        self, attributes: dict[str, str], timing: Execution, queued: int, answer: Awaitable[InferenceResponse]
    ) -> InferenceResponse:
        try:
            return await answer
        finally:
            self._current_span().set_attributes(attributes)
            ran = timing.started or time_ns()
            self.tracer.start_span("queue", start_time=queued, attributes=attributes).end(max(queued, ran))

    def waited(self, name: str, since: int) -> None:
        """Make a span of the time that the current request has waited for its model, if its trace is recorded."""
        if self._current_span().is_recording():
            self.tracer.start_span("load_wait", start_time=since, attributes={"haizen.model.name": name}).end()

    def close(self) -> None:
        """Send what is left, for a moment; what a collector has not taken by then is lost."""
        thread = threading.Thread(target=self.provider.shutdown, name="last-spans", daemon=True)
        thread.start()
        thread.join(CLOSE_SECONDS)


class Execution:
    """The span of the batch that a request is in; a BatchTiming of the engine."""

    def __init__(self, tracing: Tracing, attributes: dict[str, str] | None) -> None:
        """Without attributes there is no span: the request's trace is not recorded, which workers are told."""
        from opentelemetry.context import get_current

        self.recorded = attributes is not None
        self._tracing = tracing
        self._attributes = attributes
        self._request = get_current()
        self._span: Span | None = None
        self.started = 0
        """When it began, in nanoseconds since 1970; 0 for not yet."""

    def begin(self, now: int, requests: int) -> Carrier:
        """The batch runs."""
        from opentelemetry import propagate, trace

        context, self.started = self._request, now
        if self._attributes is not None:
            attributes: dict[str, str | int] = {**self._attributes, "haizen.batch.requests": requests}
            self._span = self._tracing.tracer.start_span("execute", context, start_time=now, attributes=attributes)
            context = trace.set_span_in_context(self._span, context)
        carrier: Carrier = {}
        propagate.inject(carrier, context)
        return carrier

    def end(self, now: int) -> None:
        """It has run."""
        if self._span is not None:
            self._span.end(now)
