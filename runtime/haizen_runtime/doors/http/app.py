"""The HTTP application: plain ASGI. Routes to endpoints, counts, and turns every error into `{"error": ...}`.

Calls of gRPC go on to the gRPC application beside it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from haizen_runtime.doors.http.body import BodyReader, Receive
from haizen_runtime.doors.http.responses import Responder, Send
from haizen_runtime.doors.http.routing import GET, POST, Match, match
from haizen_runtime.engine.dataplane import DataPlane
from haizen_runtime.observing.identity import identified
from haizen_runtime.protocol.errors import MethodNotAllowed, RequestError, RouteNotFound
from haizen_runtime.protocol.event_settings import EventSettings
from haizen_runtime.protocol.limits import DEFAULT_LIMITS, RequestLimits

if TYPE_CHECKING:
    from haizen_runtime.doors.grpc.app import GrpcApp
    from haizen_runtime.processes.siblings import Siblings

log = logging.getLogger("haizen_runtime")

GRPC: Final = b"application/grpc"

Scope = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """What the HTTP doors need to know."""

    max_body_bytes: int
    """The largest request body, as sent."""
    read_timeout_seconds: float
    """How long a body may take to arrive."""
    request_timeout_seconds: float
    """How long a request may take in the queue and the model; 0 for no limit."""
    revision: str | None = None
    """Sent as `haizen-revision` with every answer."""
    docs: bool = False
    """Whether /docs and /openapi.json answer."""
    compress_above_bytes: int = 0
    """Answers of more bytes are compressed for clients that accept it; 0: none is."""
    health_route: str = ""
    """A further path that tells readiness (Vertex AI's)."""
    predict_route: str = ""
    """A further path for predictions (Vertex AI's)."""
    events: EventSettings = field(default_factory=EventSettings)
    """How CloudEvents are answered."""
    model_control: bool = False
    """Whether models may be loaded and unloaded on request."""
    limits: RequestLimits = DEFAULT_LIMITS
    """What one request may hold."""
    max_decompressed_bytes: int = 0
    """The largest request body once it is decompressed; 0: as max_body_bytes."""
    max_waiting_bytes: int = 0
    """The bodies of all requests that wait for their model, together; 0: twice max_body_bytes."""
    max_stream_requests: int = 64
    """Requests of one gRPC stream that are under way at once."""


@dataclass(slots=True)
class Call:
    """One HTTP request on its way to an endpoint."""

    scope: Scope
    receive: Receive
    send: Send
    headers: Mapping[bytes, bytes]
    match: Match


Endpoint = Callable[[Call], Awaitable[None]]


class HttpApp:
    """The ASGI application. Endpoints register by name; `requests_seen` tells the drain whether traffic still comes."""

    def __init__(self, plane: DataPlane, settings: HttpSettings) -> None:
        """Made on the event loop that it will run on."""
        from haizen_runtime.doors.http.documentation import documentation_endpoints
        from haizen_runtime.doors.http.holding import BODIES, HeldBytes, holding_endpoints
        from haizen_runtime.doors.http.repository import repository_endpoints
        from haizen_runtime.doors.http.status import status_endpoints

        self.plane = plane
        self.settings = settings
        self.loop = asyncio.get_running_loop()
        revision = settings.revision
        self.responder = Responder(
            [(b"haizen-revision", revision.encode("latin-1", "replace"))] if revision else [],
            settings.limits.request_id_bytes,
            settings.compress_above_bytes,
        )
        self.bodies = BodyReader(
            settings.max_body_bytes, settings.read_timeout_seconds, self.loop, settings.max_decompressed_bytes
        )
        self.held = HeldBytes(settings.max_waiting_bytes or BODIES * settings.max_body_bytes)
        """Bodies of requests that wait for their model, through whatever door they came."""
        self.endpoints: dict[str, Endpoint] = {}
        self.routes: dict[str, Match] = {}
        """Paths that only this process has; they are before all others."""
        if settings.predict_route:
            self.routes[settings.predict_route] = Match("vertex.predict", POST)
        if settings.health_route:
            self.routes[settings.health_route] = Match("ready", GET)
        self.last_request = 0.0
        """When the last request that was no probe came (monotonic seconds); 0 for never."""
        self.in_flight = 0
        self.siblings: Siblings | None = None
        """The other processes on this port, if there are any."""
        self.endpoints.update(status_endpoints(self))
        self.endpoints.update(documentation_endpoints(self))
        self.endpoints.update(repository_endpoints(self))
        self.endpoints.update(holding_endpoints(self))

    @cached_property
    def inference(self) -> dict[str, Endpoint]:
        """The endpoints of loaded models. They need numpy, so the loading thread imports them, not the start."""
        from haizen_runtime.doors.http.inference import inference_endpoints

        return inference_endpoints(self)

    def open_inference(self) -> None:
        """Let requests go straight to the models: none is on its way any more."""
        self.endpoints.update(self.inference)
        self.grpc.open_inference()

    @cached_property
    def grpc(self) -> GrpcApp:
        """The gRPC application."""
        from haizen_runtime.doors.grpc.app import GrpcApp

        return GrpcApp(self)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI. An error never leaves as anything but an answer."""
        if scope["type"] != "http":
            raise RuntimeError(f"the HTTP doors do not speak {scope['type']}")
        headers: dict[bytes, bytes] = dict(scope["headers"])
        self.in_flight += 1
        try:
            content_type = headers.get(b"content-type")
            if content_type is not None and content_type.startswith(GRPC):
                await self.grpc(scope, receive, send, headers)
                return
            path = scope["path"]
            found = self.routes.get(path) or match(path)
            if found is None:
                raise RouteNotFound(f"No such path: {path[:200]}")
            method = scope["method"]
            if method not in found.methods:
                raise MethodNotAllowed(method, ", ".join(found.methods))
            if found.endpoint not in ("live", "ready", "metrics"):
                self.last_request = time.monotonic()
            await self.endpoints[found.endpoint](Call(scope, receive, send, headers, found))
        except RequestError as error:
            await self.responder.error(send, error, headers)
        except Exception:
            log.exception(
                "%s %s failed",
                scope["method"],
                scope["path"][:200],
                extra=identified(headers, self.settings.limits.request_id_bytes),
            )
            await self.responder.error(
                send, RequestError("The server failed on this request; its log says more."), headers
            )
        finally:
            self.in_flight -= 1
