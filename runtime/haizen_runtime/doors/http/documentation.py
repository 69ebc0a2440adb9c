"""`/docs` and `/openapi.json`: the inference API described by FastAPI, which is imported here and only on first use.

The document has each loaded model's own paths. It is made anew when the models are others than those it was made for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from haizen_runtime.protocol.errors import RouteNotFound

if TYPE_CHECKING:
    from haizen_runtime.doors.http.app import Call, Endpoint, HttpApp
    from haizen_runtime.engine.backend import Arrays
    from haizen_runtime.engine.dataplane import DataPlane
    from haizen_runtime.protocol.messages import ModelMetadata

    Facts = tuple[str, ModelMetadata, bool, bool, bool, bool, bool]
    """What DescribedModel is made of, in its order."""
    Sampler = Callable[[int], Arrays | None]

HTML: Final = (b"content-type", b"text/html; charset=utf-8")


def documentation_endpoints(app: HttpApp) -> dict[str, Endpoint]:
    """Endpoint names to endpoints; they answer 404 unless the setting is on."""
    document = Document()

    async def openapi(call: Call) -> None:
        _check(app, call)
        await app.responder.json(call.send, 200, await document.of(app.plane), call.headers)

    async def docs(call: Call) -> None:
        _check(app, call)
        page = await asyncio.to_thread(_page)
        await app.responder.raw(call.send, 200, page, HTML, call.headers)

    return {"openapi": openapi, "docs": docs}


def _check(app: HttpApp, call: Call) -> None:
    if not app.settings.docs:
        raise RouteNotFound(f"No such path: {call.scope['path']} (start the runtime with --enable_docs_url for it)")


class Document:
    """The OpenAPI document of the models that answer now. Written on a thread, once for the same models."""

    def __init__(self) -> None:
        self._models: list[Facts] | None = None
        self._body = b""

    async def of(self, plane: DataPlane) -> bytes:
        """The document as JSON."""
        ready = [model for name in plane.registry.names if (model := plane.model(name)).ready]
        models = [
            (
                model.name, model.metadata, model.batchable, model.takes_anything, model.takes_json, model.explains,
                model.decoupled,
            )
            for model in ready
        ]  # fmt: skip
        if models != self._models:
            self._body = await asyncio.to_thread(_rendered, models, [model.sample for model in ready])
            self._models = models
        return self._body


def _rendered(models: list[Facts], samples: list[Sampler]) -> bytes:
    """The document. The imports take half a second; `samples` make up one row for each model, where they can."""
    from haizen_runtime.doors.http.openapi import document

    if not models:
        return document({})
    from haizen_runtime.doors.http.openapi_models import DescribedModel, paths_of

    paths: dict[str, Any] = {}
    for facts, sample in zip(models, samples, strict=True):
        paths |= paths_of(DescribedModel(*facts), sample(1))
    return document(paths)


@lru_cache(maxsize=1)
def _page() -> bytes:
    from haizen_runtime.doors.http.openapi import page

    return page()
