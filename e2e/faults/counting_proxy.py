"""A proxy in front of the API server that counts writes, and tells when the n-th one has been answered."""

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Callable
from pathlib import Path

import yaml
from aiohttp import ClientSession, ClientTimeout, TCPConnector, web

WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "transfer-encoding", "upgrade", "te", "trailer", "content-length", "host"}
)


class CountingProxy:
    """Plain HTTP on loopback in front, the kubeconfig's server with its client certificate behind.

    `on_write(number)` is called, in the proxy's thread, after the API server has answered a write and before its client
    hears of it: the worst moment to die. Renewals of Leases are not counted.
    """

    def __init__(self, kubeconfig: Path, workspace: Path, on_write: Callable[[int], None]) -> None:
        document = yaml.safe_load(kubeconfig.read_text())
        self._server = document["clusters"][0]["cluster"]["server"].rstrip("/")
        self._tls = client_context(document, workspace)
        self._on_write = on_write
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="counting-proxy", daemon=True)
        self.kubeconfig = workspace / "through-proxy.kubeconfig"
        self.writes = 0

    def __enter__(self) -> "CountingProxy":
        self._thread.start()
        port = asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(30)
        self.kubeconfig.write_text(
            yaml.safe_dump(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "clusters": [{"name": "proxy", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
                    "users": [{"name": "nobody", "user": {}}],
                    "contexts": [{"name": "proxy", "context": {"cluster": "proxy", "user": "nobody"}}],
                    "current-context": "proxy",
                }
            )
        )
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)

    async def _start(self) -> int:
        timeout = ClientTimeout(total=None, connect=10)
        self._session = ClientSession(
            connector=TCPConnector(ssl=self._tls, limit=0),
            timeout=timeout,
            auto_decompress=False,
            skip_auto_headers=("Content-Type",),
        )
        application = web.Application(client_max_size=16 * 1024 * 1024)
        application.router.add_route("*", "/{path:.*}", self._forward)
        self._runner = web.AppRunner(application, access_log=None, handler_cancellation=True)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, shutdown_timeout=1)
        await site.start()
        return int(self._runner.addresses[0][1])

    async def _close(self) -> None:
        await self._session.close()
        await self._runner.cleanup()

    async def _forward(self, request: web.Request) -> web.StreamResponse:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP}
        url = f"{self._server}{request.path_qs}"
        # Without a body there must be no Content-Type either: the API server refuses one that it does not know (415).
        body = await request.read() or None
        async with self._session.request(request.method, url, headers=headers, data=body) as answer:
            passed_on = {name: value for name, value in answer.headers.items() if name.lower() not in HOP_BY_HOP}
            if request.method in WRITES and "/leases" not in request.path:
                content = await answer.read()
                self.writes += 1
                self._on_write(self.writes)
                return web.Response(status=answer.status, headers=passed_on, body=content)
            response = web.StreamResponse(status=answer.status, headers=passed_on)
            with contextlib.suppress(ConnectionResetError):  # the client of a watch was killed: what this is for
                await response.prepare(request)
                async for chunk in answer.content.iter_any():
                    await response.write(chunk)
                await response.write_eof()
            return response


def client_context(kubeconfig: dict[str, list[dict[str, dict[str, str]]]], workspace: Path) -> ssl.SSLContext:
    """Return TLS settings with the kubeconfig's authority and client certificate (inline data)."""
    import base64

    cluster, user = kubeconfig["clusters"][0]["cluster"], kubeconfig["users"][0]["user"]
    authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
    context = ssl.create_default_context(cadata=authority)
    pair = workspace / "proxy-client.pem"
    pair.write_bytes(base64.b64decode(user["client-certificate-data"]) + base64.b64decode(user["client-key-data"]))
    pair.chmod(0o600)
    context.load_cert_chain(pair)
    return context
