"""The local gateway: an ASGI application that passes requests on to the revisions, and adds nothing else.

It stands where Knative's ingress and activator stand on a cluster: it chooses the service by Host or path and the
revision by the traffic's percentages, streams bodies both ways, and holds requests while no revision is ready.
"""

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence

from haizen_cli.run import page
from haizen_cli.run.answers import Receive, Scope, Send, answer, is_grpc, send_whole
from haizen_cli.run.exchange import exchange
from haizen_cli.run.routing import RouteTable, ServiceKey, Share, choose
from haizen_cli.run.upstream import Upstream, UpstreamConnection
from haizen_cli.run.upstream_http2 import Http2UpstreamConnection

HOLD_SECONDS = 30.0
"""How long a request waits for a revision to become ready before it is answered 503 (as in Knative)."""


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
            await send_whole(send, 200, b"text/html; charset=utf-8", self._page(host).encode())
            return
        match = self._table.resolve(host, scope["raw_path"].decode("latin-1"))
        if match is None:
            await answer(scope, send, 404, self._no_route(host, scope["path"]))
            return
        target = match.path.encode("latin-1")
        if scope["query_string"]:
            target += b"?" + scope["query_string"]
        kind = Http2UpstreamConnection if is_grpc(scope) else UpstreamConnection
        backend = self._backends[match.service]
        deadline = asyncio.get_running_loop().time() + self._hold_seconds
        while True:
            left = deadline - asyncio.get_running_loop().time()
            upstream = backend.pick(self._draw(), match.tag) or await backend.pick_when_ready(
                self._draw, match.tag, max(left, 0.0)
            )
            if upstream is None:
                await answer(scope, send, 503, f"no revision of {match.service} is ready yet", retry_after=1)
                return
            try:
                connection = await upstream.acquire(kind)
            except OSError:
                # The process is just ending or starting again: nothing was sent, so choosing anew is safe.
                upstream.end()
                await asyncio.sleep(0.05)
                continue
            try:
                await exchange(upstream, connection, scope, target, receive, send)
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
