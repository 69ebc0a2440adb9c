"""A line for each request, or for each that failed: an ASGI application around the doors."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from time import perf_counter
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from haizen_runtime.observing.identity import IDENTITY, identity_of, printable

if TYPE_CHECKING:
    from haizen_runtime.doors.chain import Asgi
    from haizen_runtime.doors.http.body import Receive
    from haizen_runtime.doors.http.responses import Send

log = logging.getLogger("haizen_runtime.access")


class Outcome:
    """Listens to what is sent for a request."""

    __slots__ = ("_send", "grpc_status", "status")

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 0
        """The HTTP status; 0 when there was no answer."""
        self.grpc_status: int | None = None
        """gRPC's status, for a call of gRPC."""

    async def send(self, message: Mapping[str, Any]) -> None:
        """ASGI."""
        kind = message["type"]
        if kind == "http.response.start":
            self.status = message["status"]
        elif kind == "http.response.trailers":
            status = dict(message["headers"]).get(b"grpc-status")
            self.grpc_status = None if status is None else int(status)
        await self._send(message)

    @property
    def failed(self) -> bool:
        """Whether the answer was an error, or none came."""
        return not 0 < self.status < 400 or bool(self.grpc_status)


class AccessLog:
    """Writes the lines. A request without an id gets one, which comes back with its answer."""

    def __init__(self, inner: Asgi, errors_only: bool, max_id_bytes: int) -> None:
        """An id of more than `max_id_bytes` counts as none."""
        self._inner = inner
        self._max_id_bytes = max_id_bytes
        self._errors_only = errors_only

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """ASGI."""
        identity = identity_of(dict(scope["headers"]), self._max_id_bytes)
        if not identity.request_id:
            identity.request_id = uuid4().hex
            made = (b"x-request-id", identity.request_id.encode())
            scope = {**scope, "headers": [*scope["headers"], made]}
        IDENTITY.set(identity)
        outcome = Outcome(send)
        started = perf_counter()
        try:
            await self._inner(scope, receive, outcome.send)
        finally:
            if outcome.failed or not self._errors_only:
                self._tell(scope, outcome, perf_counter() - started)

    @staticmethod
    def _tell(scope: Mapping[str, Any], outcome: Outcome, seconds: float) -> None:
        # The raw path: percent-encoded still, and without the query, which may hold a secret.
        method, path = printable(scope["method"].encode())[:20], printable(scope["raw_path"][:200])
        fields: dict[str, object] = {"method": method, "path": path, "status": outcome.status}
        if outcome.grpc_status is not None:
            fields["grpc_status"] = outcome.grpc_status
        fields["duration_seconds"] = round(seconds, 6)
        log.log(logging.WARNING if outcome.failed else logging.INFO, "request", extra={"fields": fields})
