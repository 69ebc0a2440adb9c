"""`/docs` and `/openapi.json`: the inference API described by FastAPI, which is imported here and only on first use."""

from __future__ import annotations

import asyncio
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from haizen_runtime.protocol.errors import RouteNotFound

if TYPE_CHECKING:
    from haizen_runtime.doors.http.app import Call, Endpoint, HttpApp

HTML: Final = (b"content-type", b"text/html; charset=utf-8")


def documentation_endpoints(app: HttpApp) -> dict[str, Endpoint]:
    """Endpoint names to endpoints; they answer 404 unless the setting is on."""

    async def openapi(call: Call) -> None:
        _check(app, call)
        body, _ = await asyncio.to_thread(_rendered)
        await app.responder.json(call.send, 200, body, call.headers)

    async def docs(call: Call) -> None:
        _check(app, call)
        _, page = await asyncio.to_thread(_rendered)
        await app.responder.raw(call.send, 200, page, HTML, call.headers)

    return {"openapi": openapi, "docs": docs}


def _check(app: HttpApp, call: Call) -> None:
    if not app.settings.docs:
        raise RouteNotFound(f"No such path: {call.scope['path']} (start the runtime with --enable_docs_url for it)")


@lru_cache(maxsize=1)
def _rendered() -> tuple[bytes, bytes]:
    """The OpenAPI document and Swagger's page; the import takes half a second, on a thread."""
    from haizen_runtime.doors.http.openapi import document, page

    return document(), page()
