"""From settings to a model that knows how to fetch and load itself."""

from __future__ import annotations

import importlib
import logging
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from haizen_runtime.protocol.errors import ModelDownloadFailed, StartError

if TYPE_CHECKING:
    from haizen_runtime.backends.loading import LoadOptions
    from haizen_runtime.engine.backend import Backend
    from haizen_runtime.engine.model import Model, ModelFiles
    from haizen_runtime.settings import Settings

log = logging.getLogger("haizen_runtime")

FIRST_REQUEST: Final = (
    "haizen_runtime.doors.http.generate",
    "haizen_runtime.doors.http.inference",
    "haizen_runtime.doors.http.invocations",
    "haizen_runtime.engine.batches",
    "haizen_runtime.engine.warmup",
    "haizen_runtime.scheduling.scheduler",
)
"""What the first inference needs and the start does not: imported off the event loop."""


class ModelLoader:
    """Fetches and loads the one model that the arguments describe; both can begin before there is a server."""

    def __init__(self, settings: Settings, environment: Mapping[str, str]) -> None:
        """Raises InvalidConfiguration when HAIZEN_STORAGE_URIS cannot be read."""
        self._settings = settings
        self._environment = environment
        self._sources = downloads(settings, environment)
        self._directory = Path(settings.model_dir)
        self._failure: StartError | None = None
        self._threads: list[threading.Thread] = []

    def begin(self) -> None:
        """Start to download and, beside it, to import the model's library."""
        if self._sources:
            self._start(self._fetch, "download")
        self._start(self._import, "import")

    def model(self) -> Model:
        """The model, not loaded yet."""
        from haizen_runtime.engine.model import Model
        from haizen_runtime.engine.scheduling_settings import SchedulingSettings
        from haizen_runtime.scheduling.queue_policy import QueuePolicy

        settings = self._settings
        scheduling = SchedulingSettings(
            1 if settings.batching == "off" else settings.max_batch_rows,
            settings.max_batch_delay_seconds,
            settings.queue_limit,
            settings.instances,
            settings.batch_place,
            QueuePolicy(settings.queue_timeout_seconds, settings.priority_levels, settings.default_priority_level),
        )
        return Model(settings.model_name, "1", self.load, scheduling, self.scan)

    def scan(self) -> dict[str, ModelFiles]:
        """Wait for what `begin` started, then see which versions there are. Raises StartError."""
        from haizen_runtime.backends.versions import fingerprint, versions_in
        from haizen_runtime.engine.model import ModelFiles
        from haizen_runtime.engine.versions import VersionPolicy

        policy = VersionPolicy.parse(self._settings.version_policy)
        self._wait()
        return {
            version: ModelFiles(partial(self.load, directory), fingerprint(directory))
            for version, directory in versions_in(self._directory, policy).items()
        }

    def load(self, directory: Path | None = None) -> Backend:
        """Wait for what `begin` started, then load. Raises StartError."""
        from haizen_runtime.backends.loading import load_backend

        self._wait()
        return load_backend(directory or self._directory, self._settings.model_format or None, self._options())

    def _wait(self) -> None:
        for thread in self._threads:
            thread.join()
            if self._failure is not None:
                raise self._failure

    def _options(self) -> LoadOptions:
        from haizen_runtime.backends.loading import LoadOptions
        from haizen_runtime.workers.limits import WorkerLimits

        return LoadOptions(
            allow_code=self._settings.allow_code,
            predict_proba=self._environment.get("PREDICT_PROBA", "").lower() == "true",
            threads=self._settings.threads,
            model_name=self._settings.model_name,
            workers=self._settings.workers,
            worker_timeout_seconds=self._settings.worker_timeout_seconds,
            device=self._settings.device,
            model_class=self._settings.model_class,
            assume_batch_axis=self._settings.assume_batch_axis,
            task=self._settings.task,
            return_probabilities=self._settings.return_probabilities,
            worker_limits=WorkerLimits(
                self._settings.max_json_depth,
                self._settings.stream_window_answers,
                self._settings.stream_window_bytes,
            ),
        )

    def _start(self, work: Callable[[], None], name: str) -> None:
        thread = threading.Thread(target=work, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _fetch(self) -> None:
        started = time.perf_counter()
        try:
            self._directory = _download(self._sources, self._environment, self._directory)
            log.info("downloaded the model in %.2fs", time.perf_counter() - started)
        except StartError as error:
            self._failure = error
        except Exception as error:
            self._failure = ModelDownloadFailed(f"The download failed: {type(error).__name__}: {error}")

    def _import(self) -> None:
        from haizen_runtime.backends.loading import preload

        preload(self._settings.model_format or self._likely_format())
        for module in FIRST_REQUEST:
            importlib.import_module(module)

    def _likely_format(self) -> str | None:
        """The format that names give away, so that its library can be imported early."""
        if self._sources:
            return _format_of_uri(self._sources[0][0])
        from haizen_runtime.backends.files import find_model

        try:
            return find_model(self._directory, None)[1].name
        except (StartError, OSError):  # the load will tell
            return None


def downloads(settings: Settings, environment: Mapping[str, str]) -> list[tuple[str, Path]]:
    """What to fetch and where to, from --storage_uri (STORAGE_URI) and HAIZEN_STORAGE_URIS."""
    pairs = [(settings.storage_uri, Path(settings.model_dir))] if settings.storage_uri else []
    if not environment.get("HAIZEN_STORAGE_URIS"):
        return pairs
    from haizen_runtime.storage.download import storage_uris
    from haizen_runtime.storage.errors import DownloadError, start_error

    try:
        return pairs + [(uri, Path(folder)) for uri, folder in storage_uris(environment)]
    except DownloadError as error:
        raise start_error(error) from error


def _download(sources: list[tuple[str, Path]], environment: Mapping[str, str], directory: Path) -> Path:
    """Fetch everything; returns where the model lies. Raises StartError with the download's own reason."""
    from haizen_runtime.storage.errors import DownloadError, start_error
    from haizen_runtime.storage.fetching import fetch

    try:
        for uri, destination in sources:
            # A local path need not be copied to be served.
            place = fetch(uri, destination, environ=environment, copy_local=False)
            if destination == directory:
                directory = place
    except DownloadError as error:
        raise start_error(error) from error
    return directory


def _format_of_uri(uri: str) -> str | None:
    """The format that a URI's ending names, if it names one."""
    from haizen_runtime.backends.formats import FORMATS

    path = uri.partition("#")[0].partition("?")[0].lower()
    return next((each.name for each in FORMATS.values() if path.endswith(each.extensions)), None)
