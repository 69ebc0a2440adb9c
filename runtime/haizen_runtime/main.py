"""The command `haizen-runtime`: `serve` (the default) and `download`."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from haizen_runtime.protocol.errors import InvalidConfiguration, StartError
from haizen_runtime.settings import Settings, help_text

if TYPE_CHECKING:
    from haizen_runtime.engine.backend import Backend
    from haizen_runtime.engine.model import Model

log = logging.getLogger("haizen_runtime")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    argv = list(sys.argv[1:] if arguments is None else arguments)
    if argv[:1] == ["download"]:
        from haizen_runtime.storage.command import main as download

        return int(download(argv[1:]))
    if argv[:1] == ["serve"]:
        del argv[0]
    if any(argument in ("--help", "-h") for argument in argv):
        sys.stdout.write(help_text() + "\n")
        return 0
    termination_log = os.environ.get("HAIZEN_TERMINATION_LOG", Settings.__dataclass_fields__["termination_log"].default)
    try:
        settings, warnings = Settings.parse(argv, os.environ)
        termination_log = settings.termination_log
        logging.basicConfig(
            level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr
        )
        for warning in warnings:
            log.warning(warning)
        serve(settings)
    except StartError as error:
        return report_fatal(error, str(termination_log))
    return 0


def serve(settings: Settings, models: Sequence[Model] | None = None) -> None:
    """Listen at once, load the models beside it, serve until told to end. Raises StartError."""
    from haizen_runtime.server import bind

    listener = bind(settings.host, settings.http_port)
    try:
        runner_factory = _loop_factory()
        with asyncio.Runner(loop_factory=runner_factory) as runner:
            runner.run(_serve(settings, models, listener))
    finally:
        listener.close()


async def _serve(settings: Settings, models: Sequence[Model] | None, listener: object) -> None:
    from socket import socket

    from haizen_runtime.doors.http.app import HttpApp, HttpSettings
    from haizen_runtime.engine.dataplane import DataPlane
    from haizen_runtime.server import Server

    assert isinstance(listener, socket)
    plane = DataPlane()
    for model in models if models is not None else [model_from_settings(settings)]:
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


async def _load_all(plane: object, app: object) -> None:
    from haizen_runtime.doors.http.app import HttpApp
    from haizen_runtime.engine.dataplane import DataPlane

    assert isinstance(plane, DataPlane)
    assert isinstance(app, HttpApp)
    for model in list(plane.registry):
        await plane.load(model)
        app.open_inference()
        metrics = model.metrics
        log.info(
            "model %s is ready (load %.2fs, warm-up %.3fs, batches of up to %d rows on the event loop)",
            model.name, metrics.load_seconds, metrics.warmup_seconds, model.loop_rows,
        )  # fmt: skip


def model_from_settings(settings: Settings) -> Model:
    """The one model that the arguments describe."""
    from haizen_runtime.engine.model import Model, SchedulingSettings

    scheduling = SchedulingSettings(
        settings.max_batch_rows,
        settings.max_batch_delay_seconds,
        settings.queue_limit,
        settings.instances,
        settings.batch_place,
    )
    return Model(settings.model_name, "1", _loader(settings), scheduling)


def _loader(settings: Settings) -> Callable[[], Backend]:
    def load() -> Backend:
        from haizen_runtime.backends.loading import LoadOptions, load_backend

        options = LoadOptions(
            allow_code=settings.allow_code,
            predict_proba=os.environ.get("PREDICT_PROBA", "").lower() == "true",
            threads=settings.threads,
        )
        return load_backend(Path(settings.model_dir), settings.model_format or None, options)

    return load


def report_fatal(error: StartError, termination_log: str) -> int:
    """One line for people on stderr, one JSON line for the operator in the termination log; returns the exit code."""
    message = " ".join(error.message.split())
    sys.stderr.write(f"haizen-runtime: {error.reason}: {message}\n")
    line = json.dumps({"reason": error.reason, "message": message[:2000], "exitCode": error.exit_code})
    path = Path(termination_log)
    try:
        if path.exists() or path.parent != Path("/dev"):  # never make a file in /dev outside a pod
            path.write_text(line + "\n")
    except OSError:
        log.debug("cannot write %s", termination_log)
    return error.exit_code


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:  # Windows has none
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


__all__ = ["InvalidConfiguration", "main", "model_from_settings", "report_fatal", "serve"]

if __name__ == "__main__":
    sys.exit(main())
