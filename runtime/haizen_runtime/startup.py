"""From settings to a model that knows how to fetch and load itself."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from haizen_runtime.protocol.errors import (
    ChecksumMismatch,
    InvalidConfiguration,
    ModelDownloadFailed,
    StartError,
)

if TYPE_CHECKING:
    from haizen_runtime.engine.backend import Backend
    from haizen_runtime.engine.model import Model
    from haizen_runtime.settings import Settings

log = logging.getLogger("haizen_runtime")


def model_from_settings(settings: Settings, environment: Mapping[str, str]) -> Model:
    """The one model that the arguments describe. Raises InvalidConfiguration."""
    from haizen_runtime.engine.model import Model, SchedulingSettings

    scheduling = SchedulingSettings(
        settings.max_batch_rows,
        settings.max_batch_delay_seconds,
        settings.queue_limit,
        settings.instances,
        settings.batch_place,
    )
    sources = downloads(settings, environment)
    return Model(settings.model_name, "1", _loader(settings, sources, environment), scheduling)


def downloads(settings: Settings, environment: Mapping[str, str]) -> list[tuple[str, Path]]:
    """What to fetch and where to, from --storage_uri (STORAGE_URI) and HAIZEN_STORAGE_URIS."""
    pairs = [(settings.storage_uri, Path(settings.model_dir))] if settings.storage_uri else []
    if not environment.get("HAIZEN_STORAGE_URIS"):
        return pairs
    from haizen_runtime.storage.download import storage_uris
    from haizen_runtime.storage.errors import DownloadError

    try:
        return pairs + [(uri, Path(folder)) for uri, folder in storage_uris(environment)]
    except DownloadError as error:
        raise _start_error(error.reason, str(error)) from error


def _loader(
    settings: Settings, sources: list[tuple[str, Path]], environment: Mapping[str, str]
) -> Callable[[], Backend]:
    def load() -> Backend:
        from haizen_runtime.backends.loading import LoadOptions, load_backend, preload

        directory = Path(settings.model_dir)
        model_format = settings.model_format or None
        if sources:
            # The library imports while the model downloads: the download waits for the network, mostly.
            importing = threading.Thread(
                target=preload, args=(model_format or _likely_format(sources[0][0]),), name="import", daemon=True
            )
            importing.start()
            started = time.perf_counter()
            directory = _download(sources, environment, directory)
            log.info("downloaded the model in %.2fs", time.perf_counter() - started)
            importing.join()
        options = LoadOptions(
            allow_code=settings.allow_code,
            predict_proba=environment.get("PREDICT_PROBA", "").lower() == "true",
            threads=settings.threads,
        )
        return load_backend(directory, model_format, options)

    return load


def _download(sources: list[tuple[str, Path]], environment: Mapping[str, str], directory: Path) -> Path:
    """Fetch everything; returns where the model lies. Raises StartError with the download's own reason."""
    from haizen_runtime.storage.errors import DownloadError
    from haizen_runtime.storage.fetching import fetch

    try:
        for uri, destination in sources:
            # A local path need not be copied to be served.
            place = fetch(uri, destination, environ=environment, copy_local=False)
            if destination == directory:
                directory = place
    except DownloadError as error:
        raise _start_error(error.reason, str(error)) from error
    return directory


def _start_error(reason: str, message: str) -> StartError:
    kinds: dict[str, type[StartError]] = {
        kind.reason: kind for kind in (InvalidConfiguration, ModelDownloadFailed, ChecksumMismatch)
    }
    return kinds.get(reason, ModelDownloadFailed)(message)


def _likely_format(uri: str) -> str | None:
    """The format that a URI's ending names, so that its library can be imported early."""
    from haizen_runtime.backends.formats import FORMATS

    path = uri.partition("#")[0].partition("?")[0].lower()
    return next((each.name for each in FORMATS.values() if path.endswith(each.extensions)), None)
