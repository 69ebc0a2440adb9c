"""The span of a request: an ASGI application around the doors. Probes and scrapes of metrics have none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import propagate
from opentelemetry.propagators.textmap import Getter
from opentelemetry.trace import SpanKind, StatusCode, format_trace_id

from haizen_runtime.doors.access.policy import PUBLIC_ENDPOINTS, PUBLIC_METHODS
from haizen_runtime.doors.http.app import GRPC
from haizen_runtime.doors.http.routing import match
from haizen_runtime.observing.access_log import Outcome
from haizen_runtime.observing.identity import IDENTITY, Identity, identity_of

if TYPE_CHECKING:
    from haizen_runtime.doors.chain import Asgi
    from haizen_runtime.doors.http.app import HttpApp
    from haizen_runtime.doors.http.body import Receive
    from haizen_runtime.doors.http.responses import Send
    from haizen_runtime.observing.tracing import Tracing

METHODS: Final = frozenset(("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "CONNECT", "TRACE"))
"""Whatever else a client calls a method is `_OTHER` (OpenTelemetry's rule: names of spans are few)."""
SERVER_FAULTS: Final = frozenset((2, 4, 12, 13, 14, 15))
"""gRPC's statuses that are a server's errors (OpenTelemetry's list)."""

Attributes = dict[str, str | int]


class Headers(Getter[Mapping[bytes, bytes]]):
    """Reads what propagators want from ASGI's headers."""

    def get(self, carrier: Mapping[bytes, bytes], key: str) -> list[str] | None:
        """A header's value."""
        value = carrier.get(key.lower().encode("latin-1"))
        return None if value is None else [value.decode("latin-1")]

    def keys(self, carrier: Mapping[bytes, bytes]) -> list[str]:
        """The headers' names."""
        return [name.decode("latin-1") for name in carrier]


HEADERS: Final = Headers()


class TracedApp:
    """Makes a span of each request, as a part of the caller's trace when it says so (W3C Trace Context)."""

    def __init__(self, inner: Asgi, app: HttpApp, tracing: Tracing) -> None:
        self._inner = inner
        self._app = app
        self._tracer = tracing.tracer

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """ASGI."""
        headers: dict[bytes, bytes] = dict(scope["headers"])
        described = self._describe(scope, headers)
        if described is None:
            await self._inner(scope, receive, send)
            return
        name, attributes = described
        parent = propagate.extract(headers, getter=HEADERS)
        with self._tracer.start_as_current_span(name, parent, SpanKind.SERVER, attributes) as span:
            identity = IDENTITY.get() or identity_of(headers, self._app.settings.limits.request_id_bytes)
            identity.trace_id = format_trace_id(span.get_span_context().trace_id)
            IDENTITY.set(identity)
            outcome = Outcome(send)
            try:
                await self._inner(scope, receive, outcome.send)
            finally:
                if span.is_recording():
                    span.set_attributes(_outcome(outcome, identity))
                    if outcome.status >= 500 or outcome.grpc_status in SERVER_FAULTS:
                        span.set_status(StatusCode.ERROR)

    def _describe(self, scope: Mapping[str, Any], headers: Mapping[bytes, bytes]) -> tuple[str, Attributes] | None:
        """The span's name and attributes; None for what has no span."""
        path, version = scope["path"], scope["http_version"]
        common: Attributes = {"url.scheme": scope["scheme"] or "http", "network.protocol.version": version}
        if headers.get(b"content-type", b"").startswith(GRPC):
            if path in PUBLIC_METHODS:
                return None
            service, _, method = path[1:].rpartition("/")
            if path not in self._app.grpc.unary and path not in self._app.grpc.streaming:
                service, method = "_OTHER", "_OTHER"
            return f"{service}/{method}", {"rpc.system": "grpc", "rpc.service": service, "rpc.method": method, **common}
        found = self._app.routes.get(path) or match(path)
        if found is not None and (found.endpoint in PUBLIC_ENDPOINTS or found.endpoint == "metrics"):
            return None
        verb = scope["method"] if scope["method"] in METHODS else "_OTHER"
        attributes: Attributes = {"http.request.method": verb, "url.path": path[:200], **common}
        if found is None:
            return verb, attributes
        route = attributes["http.route"] = _route(path, found.model, found.version)
        return f"{verb} {route}", attributes


def _route(path: str, model: str, version: str | None) -> str:
    """The path with placeholders for names."""
    if model:
        path = path.replace(f"/models/{model}", "/models/{model}", 1)
    if version is not None:
        path = path.replace(f"/versions/{version}", "/versions/{version}", 1)
    return path


def _outcome(outcome: Outcome, identity: Identity) -> Attributes:
    attributes: Attributes = {"http.response.status_code": outcome.status} if outcome.status else {}
    if outcome.grpc_status is not None:
        attributes["rpc.grpc.status_code"] = outcome.grpc_status
    if identity.request_id:
        attributes["http.request.header.x-request-id"] = identity.request_id
    return attributes
