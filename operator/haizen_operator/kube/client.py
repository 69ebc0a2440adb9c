"""An asynchronous client for the few verbs the operator needs, over plain dicts.

Reads are live (no cache in between). Transient failures (429, 5xx, broken connections) are tried again with backoff
and jitter, a `Retry-After` is obeyed; everything the operator sends may be sent twice, because applies, patches guarded
by a `test` and deletes guarded by a uid are idempotent.
"""

import asyncio
import json
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlencode

import aiohttp
from kubernetes.aio.client import ApiClient

from haizen_operator.backoff import Backoff
from haizen_operator.kinds import Kind
from haizen_operator.kube.connection import ClusterConfiguration
from haizen_operator.kube.errors import ApiError, NotFound, Unauthorized, Unavailable, error_for

Manifest = dict[str, Any]
Observer = Callable[[str, Kind, int, float], None]
"""Called after every request with its verb, kind, HTTP status (0 when there was no answer) and duration in seconds."""

_JSON, _APPLY, _PATCH = "application/json", "application/apply-patch+yaml", "application/json-patch+json"


class KubeClient:
    """Requests to one API server. Close it when done."""

    def __init__(
        self,
        configure: Callable[[], Awaitable[ClusterConfiguration]],
        *,
        on_request: Observer | None = None,
        fence: Callable[[], None] | None = None,
        timeout_seconds: float = 30.0,
        tries: int = 5,
        backoff: Backoff = Backoff(base_seconds=0.2, max_seconds=5.0),  # noqa: B008 (frozen)
        user_agent: str = "haizen-operator",
    ):
        """`configure` logs in, also anew after a 401; `fence` is called before a write and may raise to prevent it."""
        self._configure = configure
        self._fence = fence
        self._on_request = on_request
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds)
        self._tries = tries
        self._backoff = backoff
        self._user_agent = user_agent
        self._api: Any = None  # an ApiClient, whose methods are not typed
        self._login = asyncio.Lock()

    async def close(self) -> None:
        """Close the connections."""
        api, self._api = self._api, None
        if api is not None:
            await api.close()

    async def get(self, kind: Kind, name: str, namespace: str | None = None) -> Manifest | None:
        """The live object, or None when it does not exist (or its kind does not)."""
        try:
            return await self._call("get", kind, kind.path(namespace, name))
        except NotFound:
            return None

    async def find(self, kind: Kind, namespace: str | None = None, *, labels: str = "") -> list[Manifest]:
        """The live objects of a namespace (or of the cluster) that match a label selector.

        The API server leaves apiVersion and kind off a list's items; they are put back.

        Raises:
            NotFound: the kind is not installed.
        """
        query = {"labelSelector": labels} if labels else {}
        answer = await self._call("list", kind, kind.path(namespace), query)
        return [{"apiVersion": kind.api_version, "kind": kind.kind, **item} for item in answer.get("items") or []]

    async def apply(self, kind: Kind, manifest: Manifest, *, manager: str, subresource: str | None = None) -> Manifest:
        """Server-side apply as field manager `manager`, by force; returns the object as it is then.

        With `metadata.uid` in it, an object that was deleted and made anew in between is a Conflict, never merged.
        """
        metadata = manifest["metadata"]
        path = kind.path(metadata.get("namespace"), metadata["name"], subresource)
        return await self._call("apply", kind, path, {"fieldManager": manager, "force": "true"}, manifest, _APPLY)

    async def create(self, kind: Kind, manifest: Manifest, *, manager: str) -> Manifest:
        """Create an object. Raises Conflict when one of that name exists."""
        return await self._call(
            "create", kind, kind.path(manifest["metadata"].get("namespace")), {"fieldManager": manager}, manifest
        )

    async def replace(self, kind: Kind, manifest: Manifest, *, manager: str) -> Manifest:
        """Replace an object whole. Raises Conflict when `metadata.resourceVersion` is not the live one."""
        metadata = manifest["metadata"]
        path = kind.path(metadata.get("namespace"), metadata["name"])
        return await self._call("update", kind, path, {"fieldManager": manager}, manifest)

    async def patch(
        self,
        kind: Kind,
        name: str,
        namespace: str | None,
        operations: list[Manifest],
        *,
        manager: str,
        subresource: str | None = None,
    ) -> Manifest:
        """A JSON patch (RFC 6902); a failed `test` in it is Rejected."""
        path = kind.path(namespace, name, subresource)
        return await self._call("patch", kind, path, {"fieldManager": manager}, operations, _PATCH)

    async def delete(self, kind: Kind, name: str, namespace: str | None, *, uid: str) -> None:
        """Delete exactly the object with this uid, its dependents in the background; one that is gone is fine."""
        body = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {"uid": uid},
            "propagationPolicy": "Background",
        }
        try:
            await self._call("delete", kind, kind.path(namespace, name), {}, body)
        except NotFound:
            return

    async def _call(
        self,
        verb: str,
        kind: Kind,
        path: str,
        query: dict[str, str] | None = None,
        body: Any = None,
        media: str = _JSON,
    ) -> Manifest:
        what = f"{verb} {path.removeprefix('/')}"
        for attempt in range(1, self._tries + 1):
            try:
                return await self._once(verb, kind, path, query or {}, body, media, what)
            except Unauthorized:
                await self.close()  # credentials changed (a rotated certificate or token): read them again
                if attempt == self._tries:
                    raise
                error: ApiError | None = None
            except Unavailable as unavailable:
                if attempt == self._tries:
                    raise
                error = unavailable
            delay = self._backoff.delay(attempt, random.random())  # noqa: S311 (jitter, not a secret)
            await asyncio.sleep(max(delay, (error.retry_after_seconds or 0.0) if error else 0.0))
        raise AssertionError("unreachable")

    async def _once(
        self, verb: str, kind: Kind, path: str, query: dict[str, str], body: Any, media: str, what: str
    ) -> Manifest:
        api = await self._connected()
        if self._fence is not None and verb not in ("get", "list"):
            self._fence()
        method = {"list": "GET", "apply": "PATCH", "create": "POST", "update": "PUT"}.get(verb, verb.upper())
        url = api.configuration.host + path + ("?" + urlencode(query) if query else "")
        headers = {"Accept": _JSON, "User-Agent": self._user_agent, "Content-Type": media}
        status, started = 0, time.monotonic()
        try:
            await api.update_params_for_auth(headers, [], ["BearerToken"], path, method, body)
            response = await api.rest_client.request(
                method, url, headers=headers, body=body, _request_timeout=self._timeout
            )
            raw = await response.read()
            status = response.status
        except (aiohttp.ClientError, TimeoutError, OSError, RuntimeError) as error:
            # RuntimeError: the session was closed under us by a new login.
            raise Unavailable(f"no answer: {error or type(error).__name__}", what=what) from error
        finally:
            if self._on_request is not None:
                self._on_request(verb, kind, status, time.monotonic() - started)
        answer = _decode(raw)
        if 200 <= status < 300:
            return answer if isinstance(answer, dict) else {}
        raise error_for(status, answer, what=what, retry_after=response.headers.get("Retry-After"))

    async def _connected(self) -> Any:
        if self._api is None:
            async with self._login:
                if self._api is None:
                    self._api = ApiClient(await self._configure())
        return self._api


def _decode(raw: bytes | None) -> Any:
    try:
        return json.loads(raw or b"{}")
    except ValueError:
        return (raw or b"").decode("utf-8", "replace")
