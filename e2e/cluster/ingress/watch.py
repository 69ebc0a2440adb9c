"""Keeps the objects of one kind in memory by list and watch."""

import asyncio
import json
import ssl
from collections.abc import Callable
from typing import Any

import httpx

from e2e.cluster import settings

Key = tuple[str, str]


def api_client() -> httpx.AsyncClient:
    """A client of the API server with the administrator's certificate."""
    pki = settings.state_root() / "pki"
    context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
    context.load_cert_chain(pki / "admin.crt", pki / "admin.key")
    return httpx.AsyncClient(base_url=settings.API_URL, verify=context, timeout=30)


class Watch:
    """The objects at one path of the API, always the newest seen; `changed` is called after each change."""

    def __init__(self, client: httpx.AsyncClient, path: str, changed: Callable[[], None]) -> None:
        self.objects: dict[Key, dict[str, Any]] = {}
        self.synced = asyncio.Event()
        self._client = client
        self._path = path
        self._changed = changed

    async def run(self) -> None:
        """List, then follow; start again from a list whenever the stream ends badly."""
        while True:
            try:
                await self._follow(await self._list())
            except (httpx.HTTPError, json.JSONDecodeError, KeyError) as error:
                print(f"watch of {self._path} starts again: {error!r}", flush=True)
                await asyncio.sleep(0.5)

    async def _list(self) -> str:
        response = await self._client.get(self._path)
        response.raise_for_status()
        listed = response.json()
        self.objects = {_key(item): item for item in listed["items"]}
        self.synced.set()
        self._changed()
        return str(listed["metadata"]["resourceVersion"])

    async def _follow(self, version: str) -> None:
        while True:
            query = {"watch": "1", "resourceVersion": version, "allowWatchBookmarks": "true", "timeoutSeconds": "300"}
            timeout = httpx.Timeout(30, read=330)
            async with self._client.stream("GET", self._path, params=query, timeout=timeout) as response:
                response.raise_for_status()
                async for line in response.aiter_lines():
                    event = json.loads(line)
                    if event["type"] == "ERROR":  # 410 Gone: what was asked for is too old
                        raise KeyError(event["object"].get("message", "watch failed"))
                    version = event["object"]["metadata"]["resourceVersion"]
                    self._apply(event["type"], event["object"])

    def _apply(self, kind: str, item: dict[str, Any]) -> None:
        if kind == "BOOKMARK":
            return
        if kind == "DELETED":
            self.objects.pop(_key(item), None)
        else:
            self.objects[_key(item)] = item
        self._changed()


def _key(item: dict[str, Any]) -> Key:
    return item["metadata"]["namespace"], item["metadata"]["name"]
