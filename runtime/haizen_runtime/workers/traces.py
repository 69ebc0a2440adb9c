"""Traces in a worker process: the spans that model code makes are part of the trace of its request."""

from __future__ import annotations

import os
from collections.abc import Coroutine, Mapping
from typing import Any

from opentelemetry import context, propagate, trace

from haizen_runtime.observing.tracing import start_tracing


class Traces:
    """What spans of model code need. Made once the model is loaded: code may have set up a provider of its own."""

    def __init__(self) -> None:
        """Export as the server does, unless the code has said how."""
        own = not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)
        self._tracing = None if own else start_tracing(os.environ)
        if self._tracing is not None:
            trace.set_tracer_provider(self._tracing.provider)

    async def continued(self, carrier: Mapping[str, str], work: Coroutine[Any, Any, None]) -> None:
        """Do the work as a part of the trace that the carrier tells of."""
        token = context.attach(propagate.extract(carrier))
        try:
            await work
        finally:
            context.detach(token)

    def close(self) -> None:
        """Send what is left."""
        if self._tracing is not None:
            self._tracing.close()
