"""A small HTTP proxy between the operator and the API server that can fail, delay, count and freeze requests."""

import asyncio
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import yaml
from aiohttp import web

from tests.support.control_plane import ControlPlane

_HOP_HEADERS = {"host", "transfer-encoding", "connection", "content-length", "content-encoding", "accept-encoding"}
WRITING = {"POST", "PUT", "PATCH", "DELETE"}


@dataclass(frozen=True)
class Fault:
    """What to answer instead of asking the API server."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: str = '{"kind":"Status","message":"injected"}'


Decide = Callable[[str, str], "Fault | None"]
"""From method and path (with its query) to a fault, or None to pass the request on."""


class FaultProxy:
    """Listens on a free loopback port; `decide` may be set at any time."""

    def __init__(self, control_plane: ControlPlane, folder: Path):
        self._control_plane = control_plane
        self._folder = folder
        self._loop = asyncio.SelectorEventLoop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._watches: set[asyncio.Task[object]] = set()
        self.decide: Decide = lambda method, path: None
        self.after_write: Callable[[str, str], None] = lambda method, path: None
        self.frozen = threading.Event()
        """While set, watches deliver nothing and stay open."""
        self.kubeconfig = folder / "proxy.kubeconfig"

    def start(self) -> None:
        self._thread.start()
        port = asyncio.run_coroutine_threadsafe(self._serve(), self._loop).result(30)
        name = "proxy"
        self.kubeconfig.write_text(
            yaml.safe_dump(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "clusters": [{"name": name, "cluster": {"server": f"http://127.0.0.1:{port}"}}],
                    "users": [{"name": name, "user": {"token": "none"}}],
                    "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
                    "current-context": name,
                }
            )
        )

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def drop_watches(self) -> None:
        """Cut every watch that is open or about to be."""

        def cancel() -> None:
            for task in list(self._watches):
                task.cancel()

        self._loop.call_soon_threadsafe(cancel)

    async def _serve(self) -> int:
        pki = self._control_plane.certificates
        context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        context.load_cert_chain(pki / "admin.crt", pki / "admin.key")
        connector = aiohttp.TCPConnector(ssl=context, limit=0)
        self._session = aiohttp.ClientSession(connector=connector)
        application = web.Application(client_max_size=2**24)
        application.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        return int(self._runner.addresses[0][1])

    async def _close(self) -> None:
        await self._runner.cleanup()
        rest = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
        await self._session.close()
        # TLS connections take a few turns of the loop to close. The loop's own wake-up pipe stays to the end.
        while len(self._loop._selector.get_map()) > 1:
            await asyncio.sleep(0.01)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        fault = self.decide(request.method, request.path_qs)
        if fault is not None:
            return web.Response(status=fault.status, headers=fault.headers, text=fault.body)
        headers = {k: v for k, v in request.headers.items() if k.lower() not in {*_HOP_HEADERS, "authorization"}}
        url = self._control_plane.host + request.path_qs
        body = await request.read()
        if "watch=true" in request.query_string:
            return await self._watch(request, url, headers)
        async with self._session.request(
            request.method, url, headers=headers, data=body or None, timeout=aiohttp.ClientTimeout(total=None)
        ) as upstream:
            passed = {k: v for k, v in upstream.headers.items() if k.lower() not in _HOP_HEADERS}
            content = await upstream.read()
            if request.method in WRITING:
                self.after_write(request.method, request.path_qs)
            return web.Response(status=upstream.status, headers=passed, body=content)

    async def _watch(self, request: web.Request, url: str, headers: dict[str, str]) -> web.StreamResponse:
        task = asyncio.current_task()
        assert task is not None
        self._watches.add(task)  # before the API server is asked, or a cut would miss it
        response = web.StreamResponse()
        try:
            async with self._session.get(url, headers=headers, timeout=aiohttp.ClientTimeout(total=None)) as upstream:
                passed = {k: v for k, v in upstream.headers.items() if k.lower() not in _HOP_HEADERS}
                response = web.StreamResponse(status=upstream.status, headers=passed)
                await response.prepare(request)
                async for chunk in upstream.content.iter_any():
                    while self.frozen.is_set():
                        await asyncio.sleep(0.1)
                    await response.write(chunk)
        except (asyncio.CancelledError, ConnectionError):
            if request.transport is not None:
                request.transport.close()
        finally:
            self._watches.discard(task)
        return response


@contextmanager
def run_fault_proxy(control_plane: ControlPlane, folder: Path) -> Iterator[FaultProxy]:
    """A running proxy."""
    proxy = FaultProxy(control_plane, folder)
    proxy.start()
    try:
        yield proxy
    finally:
        with suppress(TimeoutError):
            proxy.stop()
