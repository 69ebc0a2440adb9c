"""The inference endpoints of the time before all models are loaded: requests wait instead of failing.

A pod without a readiness probe counts as ready as soon as it listens (KServe's own ServingRuntimes have none, and
Knative's default probe is a TCP connection), so the first request from zero arrives while the model is loading. Once
it is loaded, these endpoints are replaced and cost nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NoReturn

from haizen_runtime.doors.http.body import Receive, length_too_large
from haizen_runtime.doors.http.targets import target_model
from haizen_runtime.doors.http.timeouts import TIMEOUT_HEADER, deadline_of
from haizen_runtime.protocol.errors import ClientGone, PayloadTooLarge, QueueFull, RequestError

if TYPE_CHECKING:
    from haizen_runtime.doors.http.app import Call, Endpoint, HttpApp
    from haizen_runtime.engine.model import Model

BODIES: Final = 2
"""The bodies of all waiting requests together may have this many times the size that one may have."""

ENDPOINTS: Final = (
    "v1.predict", "v1.explain", "v2.infer", "v2.generate", "v2.generate_stream", "sagemaker.invoke", "vertex.predict",
)  # fmt: skip

DROPS: Final[dict[type[BaseException], str]] = {ClientGone: "cancelled", QueueFull: "queue_full"}


class HeldBytes:
    """The bytes that waiting requests have sent so far, all together."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.count = 0


class EarlyBody:
    """What one waiting request has sent so far. It is read at once, since only so is a client seen that goes away."""

    def __init__(self, receive: Receive, limit_bytes: int, held: HeldBytes) -> None:
        self._receive = receive
        self._limit_bytes = limit_bytes
        self._held = held
        self._content = bytearray()
        self._more = True

    async def watch(self) -> NoReturn:
        """Read on and on. Raises ClientGone, PayloadTooLarge, or QueueFull when all bodies together are too large."""
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientGone("The client closed the connection before its model was loaded.")
            chunk = message.get("body", b"")
            self._content += chunk
            self._held.count += len(chunk)
            self._more = message.get("more_body", False)
            if len(self._content) > self._limit_bytes:
                raise PayloadTooLarge(f"The request body is larger than {self._limit_bytes} bytes.")
            if self._held.count > self._held.limit:
                raise QueueFull(
                    f"The requests that wait for a model have more than {self._held.limit} bytes; try again later."
                )

    async def replay(self) -> Mapping[str, Any]:
        """ASGI's receive for the endpoint: what was read first, then what comes."""
        if self._content or not self._more:
            message = {"type": "http.request", "body": bytes(self._content), "more_body": self._more}
            self.release()
            self._more = True
            return message
        return await self._receive()

    def release(self) -> None:
        """Let go of the bytes."""
        self._held.count -= len(self._content)
        self._content = bytearray()


def holding_endpoints(app: HttpApp) -> dict[str, Endpoint]:
    """Endpoint names to endpoints."""
    held = app.held

    async def predict(call: Call) -> None:
        model = target_model(app.plane, call)
        early = EarlyBody(call.receive, app.settings.max_body_bytes, held)
        try:
            try:
                if not (model.settled or model.withdrawn):
                    call = await _wait(app, call, model, early)
                if not model.ready:
                    raise model.not_ready()
            except RequestError as error:
                model.metrics.answered(call.match.endpoint.partition(".")[0], error.status)
                raise
            await app.inference[call.match.endpoint](call)
        finally:
            early.release()

    return dict.fromkeys(ENDPOINTS, predict)


async def _wait(app: HttpApp, call: Call, model: Model, early: EarlyBody) -> Call:
    """Wait until the model is loaded or has failed; returns the call to go on with. Raises RequestError."""
    declared = call.headers.get(b"content-length", b"")
    if declared.isdigit() and len(declared) < 20 and int(declared) > app.settings.max_body_bytes:
        raise length_too_large(int(declared), app.settings.max_body_bytes)
    deadline = deadline_of(app.loop.time(), call.headers.get(TIMEOUT_HEADER), 0)
    with app.plane.waiting.place(model, deadline) as opened:
        watch = asyncio.ensure_future(early.watch())
        try:
            await asyncio.wait((watch, opened), return_when=asyncio.FIRST_COMPLETED)
        finally:
            watch.cancel()  # no byte is lost: what was read is in `early`, the rest is still with the connection
            await asyncio.wait((watch,))
        if not watch.cancelled() and (error := watch.exception()) is not None:
            if reason := DROPS.get(type(error)):
                model.metrics.dropped(reason)
            raise error
        opened.result()
    headers = call.headers
    if deadline is not None:
        left = max(1, round((deadline - app.loop.time()) * 1000))
        headers = {**headers, TIMEOUT_HEADER: b"%d" % left}
    return replace(call, receive=early.replay, headers=headers)
