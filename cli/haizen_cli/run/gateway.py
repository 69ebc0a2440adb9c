"""The local gateway: an ASGI application that passes requests on to the revisions, and adds nothing else.

It stands where Knative's ingress and activator stand on a cluster: it chooses the service by Host or path and the
revision by the traffic's percentages, streams bodies both ways, and holds requests while no revision is ready.
"""

import asyncio
import json
import random
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from typing import Any

import zttp

from haizen_cli.run import page
from haizen_cli.run.routing import RouteTable, ServiceKey, Share, choose
from haizen_cli.run.upstream import HOP_BY_HOP, Upstream, UpstreamConnection, UpstreamError

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

HOLD_SECONDS = 30.0
"""How long a request waits for a revision to become ready before it is answered 503 (as in Knative)."""

NO_GRPC = b"the gateway of `haizen run` passes on HTTP/1.1 only: use the REST paths here, and gRPC on a cluster"


class Backend:
    """One service's traffic: which revisions get which share. Changed as a whole, between two requests."""

    def __init__(self) -> None:
        self._shares: tuple[Share, ...] = ()
        self._upstreams: dict[str, Upstream] = {}
        self._tags: dict[str, str] = {}
        self._changed = asyncio.Event()

    def set_traffic(
        self, shares: Sequence[Share], upstreams: Mapping[str, Upstream], tags: Mapping[str, str] | None = None
    ) -> None:
        """Switch the traffic: from the next request on, these revisions get these shares.

        Args:
            shares: The percentages. Requests for a revision without a process wait for it.
            upstreams: The processes that are ready, by revision name.
            tags: Knative's traffic tags (``latest``, ``prev``) and their revisions.
        """
        self._shares = tuple(shares)
        self._upstreams = dict(upstreams)
        self._tags = dict(tags or {})
        self._changed.set()
        self._changed = asyncio.Event()

    @property
    def shares(self) -> tuple[Share, ...]:
        """The percentages of the traffic."""
        return self._shares

    @property
    def ready(self) -> frozenset[str]:
        """The revisions that have a process which is ready."""
        return frozenset(self._upstreams)

    def pick(self, draw: float, tag: str | None) -> Upstream | None:
        """Choose the revision for one request and count it in; None when none is ready."""
        revision = choose(self._shares, draw) if tag is None else self._tags.get(tag)
        upstream = self._upstreams.get(revision or "")
        if upstream is not None:
            upstream.begin()
        return upstream

    async def pick_when_ready(self, draw: Callable[[], float], tag: str | None, seconds: float) -> Upstream | None:
        """Like ``pick``, but waits up to ``seconds`` for a revision to become ready."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while (upstream := self.pick(draw(), tag)) is None:
            changed = self._changed
            try:
                async with asyncio.timeout_at(deadline):
                    await changed.wait()
            except TimeoutError:
                return None
        return upstream


class Gateway:
    """The ASGI application."""

    def __init__(self, *, draw: Callable[[], float] = random.random, hold_seconds: float = HOLD_SECONDS) -> None:
        self._draw = draw
        self._hold_seconds = hold_seconds
        self._table = RouteTable()
        self._backends: dict[ServiceKey, Backend] = {}

    def backend(self, service: ServiceKey) -> Backend:
        """Return the traffic of a service; the first call makes the gateway answer for it."""
        if service not in self._backends:
            self._backends[service] = Backend()
            self._table = RouteTable.of(self._backends)
        return self._backends[service]

    def remove(self, service: ServiceKey) -> None:
        """Answer for this service no longer."""
        self._backends.pop(service, None)
        self._table = RouteTable.of(self._backends)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request (ASGI)."""
        if scope["type"] != "http":
            return
        host = next((value for name, value in scope["headers"] if name == b"host"), b"").decode("latin-1")
        if page.wants_page(scope["method"], scope["path"], scope["headers"]):
            await _send_whole(send, 200, b"text/html; charset=utf-8", self._page(host).encode())
            return
        if any(name == b"content-type" and value.startswith(b"application/grpc") for name, value in scope["headers"]):
            await _refuse_grpc(send)
            return
        match = self._table.resolve(host, scope["raw_path"].decode("latin-1"))
        if match is None:
            await _answer(send, 404, self._no_route(host, scope["path"]))
            return
        target = match.path.encode("latin-1")
        if scope["query_string"]:
            target += b"?" + scope["query_string"]
        backend = self._backends[match.service]
        deadline = asyncio.get_running_loop().time() + self._hold_seconds
        while True:
            left = deadline - asyncio.get_running_loop().time()
            upstream = backend.pick(self._draw(), match.tag) or await backend.pick_when_ready(
                self._draw, match.tag, max(left, 0.0)
            )
            if upstream is None:
                await _answer(send, 503, f"no revision of {match.service} is ready yet", retry_after=1)
                return
            try:
                connection = await upstream.acquire()
            except OSError:
                # The process is just ending or starting again: nothing was sent, so choosing anew is safe.
                upstream.end()
                await asyncio.sleep(0.05)
                continue
            try:
                await _exchange(upstream, connection, scope, target, receive, send)
            finally:
                upstream.end()
            return

    def _page(self, host: str) -> str:
        only_one = len(self._backends) == 1
        return page.render(
            [
                page.shown(key, backend.shares, backend.ready, gateway=f"http://{host}", only_one=only_one)
                for key, backend in sorted(self._backends.items())
            ]
        )

    def _no_route(self, host: str, path: str) -> str:
        if not self._backends:
            return "no service is running yet"
        known = ", ".join(f"{key.name}.{key.namespace}.localhost" for key in sorted(self._backends))
        return f"no service answers for Host {host!r} and path {path!r}; known hosts: {known}"


async def _exchange(
    upstream: Upstream, connection: UpstreamConnection, scope: Scope, target: bytes, receive: Receive, send: Send
) -> None:
    """Pass one request on and its response back."""
    exchange = _Exchange(connection, receive, send)
    complete = False
    try:
        complete = await exchange.run(scope, target)
    except UpstreamError as error:
        if not exchange.response_started:
            await _answer(send, 502, f"revision {upstream.revision}: {error}")
        else:
            raise  # the server closes the client's connection, which is how it learns that the body is cut short
    finally:
        upstream.release(connection, complete=complete)


class _Exchange:
    """One request and its response on one upstream connection."""

    def __init__(self, connection: UpstreamConnection, receive: Receive, send: Send) -> None:
        self._connection = connection
        self._receive = receive
        self._send = send
        self._gone = False
        self._uploaded = False
        self.response_started = False

    async def run(self, scope: Scope, target: bytes) -> bool:
        """Returns whether both the request and the response went through whole."""
        first = await self._receive()
        if first["type"] == "http.disconnect":
            return False
        body, more = first.get("body", b""), first.get("more_body", False)
        headers = _request_headers(scope["headers"], len(body), more)
        self._connection.start(scope["method"].encode("ascii"), target, headers, body, more)
        self._uploaded = not more
        client = asyncio.ensure_future(self._watch_client(more))
        try:
            await self._respond()
        except UpstreamError:
            if self._gone:
                return False
            raise
        finally:
            client.cancel()
        return self._uploaded

    async def _watch_client(self, more: bool) -> None:
        """Pass the rest of the body on, then wait for the client to go away: that ends the exchange upstream, too."""
        try:
            while more:
                message = await self._receive()
                if message["type"] == "http.disconnect":
                    break
                more = message.get("more_body", False)
                await self._connection.send_body(message.get("body", b""), more)
            else:
                self._uploaded = True
                await self._receive()  # returns when the client hangs up, or when the response is complete
        except UpstreamError:
            return  # the runtime hung up on the body; its answer, if there is one, says why
        self._gone = True
        self._connection.close()

    async def _respond(self) -> None:
        connection = self._connection
        while True:
            event = await connection.next_event()
            if isinstance(event, zttp.Response):
                if event.status_code < 200:
                    continue  # 100 Continue is the gateway's own business with each side
                self.response_started = True
                headers = [(name.lower(), value) for name, value in event.headers]
                await self._send(
                    {
                        "type": "http.response.start",
                        "status": event.status_code,
                        "headers": [pair for pair in headers if pair[0] not in HOP_BY_HOP],
                    }
                )
            elif isinstance(event, zttp.Data):
                following = connection.ready_event()
                last = isinstance(following, zttp.EndOfMessage)
                await self._send({"type": "http.response.body", "body": event.data, "more_body": not last})
                if last:
                    return
                while isinstance(following, zttp.Data):
                    await self._send({"type": "http.response.body", "body": following.data, "more_body": True})
                    following = connection.ready_event()
                if isinstance(following, zttp.EndOfMessage):
                    break
            elif isinstance(event, zttp.EndOfMessage):
                break
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})


def _request_headers(headers: Sequence[tuple[bytes, bytes]], length: int, more: bool) -> list[tuple[bytes, bytes]]:
    """Drop what is about the client's connection only, and frame a body whose length is not known as chunked."""
    kept = [pair for pair in headers if pair[0] not in HOP_BY_HOP and pair[0] != b"expect"]
    if any(name == b"content-length" for name, _ in kept):
        return kept
    if more:
        return [*kept, (b"transfer-encoding", b"chunked")]
    return [*kept, (b"content-length", str(length).encode("ascii"))] if length else kept


async def _answer(send: Send, status: int, message: str, retry_after: int | None = None) -> None:
    """Answer for the gateway itself, in the error shape of the runtime: ``{"error": ...}``."""
    extra = [] if retry_after is None else [(b"retry-after", str(retry_after).encode("ascii"))]
    await _send_whole(send, status, b"application/json", json.dumps({"error": message}).encode(), extra)


async def _refuse_grpc(send: Send) -> None:
    """Answer gRPC's UNIMPLEMENTED."""
    headers = [(b"content-type", b"application/grpc")]
    await send({"type": "http.response.start", "status": 200, "headers": headers, "trailers": True})
    await send({"type": "http.response.body", "body": b""})
    trailers = [(b"grpc-status", b"12"), (b"grpc-message", NO_GRPC)]
    await send({"type": "http.response.trailers", "headers": trailers, "more_trailers": False})


async def _send_whole(
    send: Send, status: int, content_type: bytes, body: bytes, extra: Sequence[tuple[bytes, bytes]] = ()
) -> None:
    headers = [(b"content-type", content_type), (b"content-length", str(len(body)).encode("ascii")), *extra]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
