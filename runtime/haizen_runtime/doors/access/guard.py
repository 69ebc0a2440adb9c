"""API keys in front of everything: an ASGI application around the doors.

It sees a request before any door does, and tells what it is for as they do: by its content type and its path.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from haizen_runtime.doors.access.keys import ApiKey, KeyRing, read_keys
from haizen_runtime.doors.access.policy import Scope, allows, scope_of_endpoint, scope_of_method
from haizen_runtime.doors.http.app import GRPC
from haizen_runtime.doors.http.routing import match
from haizen_runtime.observing.identity import IDENTITY
from haizen_runtime.protocol.errors import Forbidden, RequestError, Unauthenticated
from haizen_runtime.watching import WatchedFiles

if TYPE_CHECKING:
    from haizen_runtime.doors.chain import Asgi
    from haizen_runtime.doors.http.app import HttpApp
    from haizen_runtime.doors.http.body import Receive
    from haizen_runtime.doors.http.responses import Send

BEARER: Final = b"bearer "


class ApiKeyGuard:
    """Lets requests pass that are public, or carry a key with the scope they need."""

    def __init__(self, inner: Asgi, app: HttpApp, keys_file: str) -> None:
        """Raises InvalidConfiguration when the file cannot be read."""
        self._inner = inner
        self._app = app
        self._file = keys_file
        self._ring = KeyRing(())
        self._files = WatchedFiles("API keys", (keys_file,), self._use)

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """ASGI."""
        headers: dict[bytes, bytes] = dict(scope["headers"])
        content_type = headers.get(b"content-type")
        is_grpc = content_type is not None and content_type.startswith(GRPC)
        try:
            self._check(scope["path"], is_grpc, headers)
        except RequestError as error:
            if is_grpc and scope["http_version"] == "2":
                await self._app.grpc.refuse(send, error, headers)
            else:
                await self._app.responder.error(send, error, headers)
            return
        await self._inner(scope, receive, send)

    def _check(self, path: str, is_grpc: bool, headers: Mapping[bytes, bytes]) -> None:
        """Raise Unauthenticated or Forbidden, or return."""
        if is_grpc:
            needed = scope_of_method(path)
        else:
            found = self._app.routes.get(path) or match(path)
            needed = scope_of_endpoint(found.endpoint if found is not None else None)
        if needed is not None:
            self._require(needed, headers)

    def _require(self, needed: Scope, headers: Mapping[bytes, bytes]) -> None:
        key = self._presented(headers)
        if (identity := IDENTITY.get()) is not None:
            identity.key = key.name
        if not allows(key.scopes, needed):
            raise Forbidden(f"This API key may not do that; it needs the scope {needed.value}.")

    def _presented(self, headers: Mapping[bytes, bytes]) -> ApiKey:
        """The key of a request: X-API-Key, or else the bearer token."""
        secret = headers.get(b"x-api-key")
        if secret is None:
            authorization = headers.get(b"authorization", b"")
            if authorization[: len(BEARER)].lower() != BEARER:
                raise Unauthenticated("An API key is needed: send Authorization: Bearer KEY, or X-API-Key: KEY.")
            secret = authorization[len(BEARER) :]
        key = self._ring.find(secret.strip())
        if key is None:
            raise Unauthenticated("This API key is not known here.")
        return key

    def _use(self, contents: Sequence[bytes]) -> None:
        self._ring = read_keys(contents[0], self._file)
