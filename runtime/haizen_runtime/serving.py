"""One process that serves: listens at once, loads its models beside that, and ends when told to."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import socket
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from haizen_runtime.doors.http.app import HttpApp, HttpSettings
from haizen_runtime.engine.dataplane import DataPlane
from haizen_runtime.server import Server, bind
from haizen_runtime.startup import model_from_settings

if TYPE_CHECKING:
    from haizen_runtime.engine.model import Model
    from haizen_runtime.settings import Settings

log = logging.getLogger("haizen_runtime")


def serve(settings: Settings, models: Sequence[Model] | None = None) -> None:
    """Serve the models (by default the one that the settings describe) until a signal. Raises StartError."""
    if models is None:
        models = [model_from_settings(settings, os.environ)]
    listener = bind(settings.host, settings.http_port)
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_serve(settings, models, listener))
    finally:
        listener.close()


async def _serve(settings: Settings, models: Sequence[Model], listener: socket.socket) -> None:
    plane = DataPlane()
    for model in models:
        plane.registry.add(model)
    app = HttpApp(
        plane,
        HttpSettings(
            settings.max_body_bytes,
            settings.read_timeout_seconds,
            settings.request_timeout_seconds,
            os.environ.get("K_REVISION") or None,
        ),
    )
    server = Server(app, settings)
    serving = asyncio.ensure_future(server.serve([listener]))
    log.info("listening on http://%s:%d", settings.host, listener.getsockname()[1])
    loading = asyncio.ensure_future(_load_all(plane, app))
    await asyncio.wait((serving, loading), return_when=asyncio.FIRST_COMPLETED)
    if loading.done() and loading.exception() is not None:
        server.should_exit = True
        await serving
        loading.result()
    await serving
    loading.cancel()


async def _load_all(plane: DataPlane, app: HttpApp) -> None:
    for model in list(plane.registry):
        await plane.load(model)
        app.open_inference()
        metrics = model.metrics
        log.info(
            "model %s is ready (load %.2fs, warm-up %.3fs, batches of up to %d rows on the event loop)",
            model.name,
            metrics.load_seconds,
            metrics.warmup_seconds,
            model.loop_rows,
        )
    # What loading made stays for good: out of the collector's sight it costs no request a pause.
    gc.collect()
    gc.freeze()


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:  # Windows has none
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory
