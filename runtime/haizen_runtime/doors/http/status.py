"""The endpoints that answer before any model is loaded: health, lists, the server's own metadata, metrics."""

from __future__ import annotations

import asyncio
import importlib
import sys
from typing import TYPE_CHECKING, Any, Final

from haizen_runtime.protocol.errors import ModelNotReady

if TYPE_CHECKING:
    from haizen_runtime.doors.http.app import Call, Endpoint, HttpApp

EXTENSIONS: list[str] = [
    "model_metadata", "model_configuration", "model_repository", "parameters", "schedule_policy", "statistics",
    "binary_tensor_data",
]  # fmt: skip
"""What `GET /v2` says this server adds to the bare protocol."""


EXPOSITION: Final = "haizen_runtime.doors.http.exposition"


async def exposition() -> Any:
    """The module that writes metrics. The first scrape imports prometheus_client, on a thread: it takes its time."""
    return sys.modules.get(EXPOSITION) or await asyncio.to_thread(importlib.import_module, EXPOSITION)


def status_endpoints(app: HttpApp) -> dict[str, Endpoint]:
    """Endpoint names to endpoints."""
    plane, responder = app.plane, app.responder

    async def answer(call: Call, payload: object, status: int = 200) -> None:
        import orjson

        await responder.json(call.send, status, orjson.dumps(payload), call.headers)

    async def root(call: Call) -> None:
        # KServe's answer, which clients use as a probe.
        await answer(call, {"status": "alive"})

    async def live(call: Call) -> None:
        await answer(call, {"live": True})

    async def ready(call: Call) -> None:
        await answer(call, {"ready": plane.ready}, 200 if plane.ready else 503)

    async def metrics(call: Call) -> None:
        text = await exposition()
        content_type = (b"content-type", text.CONTENT_TYPE)
        if app.siblings is None:
            body = text.render(app)
        else:
            body = text.render_families(await app.siblings.scrape(text.snapshot(app)))
        await responder.raw(call.send, 200, body, content_type, call.headers)

    async def v1_models(call: Call) -> None:
        await answer(call, {"models": plane.registry.names})

    async def v1_model(call: Call) -> None:
        from haizen_runtime.protocol.tf_json import version_status

        # KServe's answer and TF Serving's in one: their clients each read their own names.
        name, version = call.match.model, call.match.version
        model = plane.model(name, version)
        asked = [plane.model(name, each) for each in plane.registry.versions(name) if version in (None, each)]
        statuses = [
            version_status(each.version, each.state.value, each.error.message if each.error else "") for each in asked
        ]
        payload = {"name": name, "ready": model.ready, "model_version_status": statuses}
        await answer(call, payload, 200 if model.ready else 503)

    async def v1_metadata(call: Call) -> None:
        from haizen_runtime.protocol.tf_json import model_metadata

        model = plane.model(call.match.model, call.match.version)
        await answer(call, model_metadata(model.name, model.version, model.metadata))

    async def v2_server(call: Call) -> None:
        from haizen_runtime import __version__

        await answer(call, {"name": "haizen-runtime", "version": __version__, "extensions": EXTENSIONS})

    async def v2_models(call: Call) -> None:
        await answer(call, {"models": plane.registry.names})

    async def v2_model(call: Call) -> None:
        model = plane.model(call.match.model, call.match.version)
        if not model.ready:
            raise ModelNotReady(f"Model {model.name} is not ready ({model.state.value.lower()}).")
        metadata = model.metadata
        await answer(
            call,
            {
                "name": model.name,
                "versions": plane.registry.versions(model.name),
                "platform": metadata.platform,
                "inputs": [tensor.as_json() for tensor in metadata.inputs],
                "outputs": [tensor.as_json() for tensor in metadata.outputs],
                "properties": dict(metadata.properties),
            },
        )

    async def v2_config(call: Call) -> None:
        from haizen_runtime.protocol.model_config import model_config

        await answer(call, model_config(plane.model(call.match.model, call.match.version).facts))

    async def v2_stats(call: Call) -> None:
        await answer(call, {"model_stats": plane.statistics(call.match.model or None, call.match.version)})

    async def v2_model_ready(call: Call) -> None:
        model = plane.model(call.match.model, call.match.version)
        await answer(call, {"name": model.name, "ready": model.ready}, 200 if model.ready else 503)

    return {
        "root": root,
        "live": live,
        "ready": ready,
        "metrics": metrics,
        "v1.models": v1_models,
        "v1.model": v1_model,
        "v1.metadata": v1_metadata,
        "v2.server": v2_server,
        "v2.models": v2_models,
        "v2.model": v2_model,
        "v2.config": v2_config,
        "v2.stats": v2_stats,
        "v2.model_stats": v2_stats,
        "v2.model_ready": v2_model_ready,
    }
