"""One process that serves: listens at once, loads its models beside that, and ends when told to."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import socket
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from haizen_runtime.doors.http.app import HttpApp, HttpSettings
from haizen_runtime.engine.dataplane import DataPlane
from haizen_runtime.engine.timing import install_tracer
from haizen_runtime.engine.waiting import WaitingRoom
from haizen_runtime.observing.tracing import start_tracing
from haizen_runtime.protocol.event_settings import EventSettings
from haizen_runtime.protocol.limits import RequestLimits
from haizen_runtime.server import Server

if TYPE_CHECKING:
    from haizen_runtime.engine.model import Model
    from haizen_runtime.processes.siblings import Siblings
    from haizen_runtime.settings import Settings

log = logging.getLogger("haizen_runtime")

COLLECT_AFTER: Final = 10_000
"""Objects made and not freed before the collector looks through them: a batch of requests under way has thousands, none
of which is garbage. Python's own 700 makes it look every dozen requests."""


def serve(
    settings: Settings, models: Sequence[Model], listener: socket.socket | None, siblings: Siblings | None = None
) -> None:
    """Serve the models on a bound socket until a signal. Raises StartError when no model can be served.

    One of several processes has siblings, from which its connections come, instead of a socket.
    """
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_serve(settings, models, listener, siblings))


async def _serve(
    settings: Settings, models: Sequence[Model], listener: socket.socket | None, siblings: Siblings | None
) -> None:
    tracing = start_tracing(os.environ)
    if tracing is not None:
        install_tracer(tracing)
    plane = DataPlane(waiting=WaitingRoom(settings.queue_limit, settings.load_wait_seconds))
    for model in models:
        plane.registry.add(model)
    app = HttpApp(
        plane,
        HttpSettings(
            settings.max_body_bytes,
            settings.read_timeout_seconds,
            settings.request_timeout_seconds,
            os.environ.get("K_REVISION") or None,
            settings.enable_docs_url,
            settings.compress_above_bytes,
            settings.health_route,
            settings.predict_route,
            EventSettings.from_environment(os.environ),
            model_control=settings.model_control_mode == "explicit",
            limits=RequestLimits(
                settings.max_json_depth,
                settings.max_tensor_dimensions,
                settings.max_event_attributes,
                settings.max_request_id_bytes,
            ),
            max_decompressed_bytes=settings.max_decompressed_bytes,
            max_waiting_bytes=settings.max_waiting_bytes,
            max_stream_requests=settings.max_stream_requests,
        ),
    )
    server = Server(app, settings, tracing)
    serving = asyncio.ensure_future(server.serve([] if listener is None else [listener]))
    if listener is not None:
        scheme = "https" if settings.tls_cert_file else "http"
        log.info("listening on %s://%s:%d", scheme, settings.host, listener.getsockname()[1])
    if siblings is not None:
        await siblings.join(app, server)
    loading = asyncio.ensure_future(_load_all(plane, app))
    await asyncio.wait((serving, loading), return_when=asyncio.FIRST_COMPLETED)
    if loading.done() and loading.exception() is not None:
        server.should_exit = True
        await serving
        loading.result()
    polling = _poll(plane, settings.repository_poll_seconds) if settings.repository_poll_seconds else None
    await serving
    for task in (loading, *((polling,) if polling is not None else ())):
        task.cancel()
    if tracing is not None:
        tracing.close()


async def _load_all(plane: DataPlane, app: HttpApp) -> None:
    """Load every model beside the others. One that fails is told in its own answers, unless it is the only one."""
    names = plane.registry.names
    results = await asyncio.gather(*map(plane.repository.start, names), return_exceptions=True)
    failures = [result for result in results if isinstance(result, BaseException)]
    if failures and len(failures) == len(names):
        raise failures[0]
    app.open_inference()
    # What loading made stays for good: out of the collector's sight it costs no request a pause.
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER, 10, 10)
    gc.enable()


def _poll(plane: DataPlane, seconds: float) -> asyncio.Task[None]:
    from haizen_runtime.engine.polling import poll

    return asyncio.ensure_future(poll(plane, seconds))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:  # Windows has none
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory
