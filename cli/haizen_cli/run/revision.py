"""Keeps one revision running: fetch the model, start the process, restart it with backoff, drain it at the end."""

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from haizen_cli.run.events import Event, OutputEvent, RevisionEvent, Stage
from haizen_cli.run.fetch import FetchError, fetch, local_folder, model_folder
from haizen_cli.run.localize import LocalContainer
from haizen_cli.run.process import Failure, ProcessSpec, RuntimeProcess
from haizen_cli.run.routing import ServiceKey
from haizen_cli.run.server import free_port
from haizen_cli.run.upstream import Upstream

FIRST_DELAY_SECONDS = 1.0
"""The pause before the first restart; it doubles with each one that fails."""

LONGEST_DELAY_SECONDS = 30.0
"""The longest pause before a restart."""

STEADY_SECONDS = 60.0
"""A process that was ready for so long starts again without a longer pause."""

DRAIN_SECONDS = 30.0
"""How long a process may take to end after SIGTERM before it is killed."""


def restart_delay(failures: int) -> float:
    """Return the seconds to wait before the next start, after ``failures`` (from 1) in a row."""
    return float(min(LONGEST_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2 ** (failures - 1)))


@dataclass(frozen=True)
class Places:
    """Where a run keeps its files, and the environment that its processes inherit."""

    cache: Path
    state: Path
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ), repr=False)


class RevisionRunner:
    """One revision's process over its life. ``changed`` is called when it becomes ready, fails or goes away."""

    def __init__(
        self,
        service: ServiceKey,
        name: str,
        container: LocalContainer,
        places: Places,
        *,
        report: Callable[[Event], None],
        changed: Callable[[], None],
    ) -> None:
        self.service = service
        self.name = name
        self.failure: Failure | None = None
        self.upstream: Upstream | None = None
        self.was_ready = False
        self._container = container
        self._places = places
        self._report = report
        self._changed = changed
        self._process: RuntimeProcess | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The runtime's process id while there is one."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start to bring the revision up; the outcome is reported."""
        self._task = asyncio.create_task(self._keep_running(), name=f"revision {self.name}")
        self._task.add_done_callback(self._ended)

    async def stop(self, *, drain: bool = True) -> None:
        """Answer what is in flight, then end the process. The caller has taken the traffic away before."""
        upstream, self.upstream = self.upstream, None
        if upstream is not None and drain:
            self._tell(Stage.DRAINING)
            await upstream.drained()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        self._tell(Stage.STOPPED)

    def kill(self) -> None:
        """End the process at once."""
        if self._process is not None:
            self._process.kill()

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Show an error of our own rather than leave the revision in silence; it ends otherwise only by ``stop``."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self.failure = Failure("InternalError", f"{type(error).__name__}: {error}")
            self._tell(Stage.FAILED, str(self.failure))
            self._changed()

    async def _keep_running(self) -> None:
        failures = 0
        while True:
            ready_at: float | None = None
            try:
                folders = await self._fetch_models()
                process = RuntimeProcess(self._process_spec(folders), self._on_line)
                self._process = process
                try:
                    self._tell(Stage.LOADING)
                    await process.start()
                    failure = await process.wait_ready()
                    if failure is None:
                        ready_at = time.monotonic()
                        self._became_ready(process)
                        failure = await process.wait_exit()
                finally:
                    self.upstream = None
                    await process.stop(DRAIN_SECONDS)
                    self._process = None
            except FetchError as error:
                failure = error.failure
            if ready_at is not None and time.monotonic() - ready_at > STEADY_SECONDS:
                failures = 0
            failures += 1
            delay = restart_delay(failures)
            repeated = self.failure == failure
            self.failure = failure
            text = f"still {failure.reason}" if repeated else str(failure)
            self._tell(
                Stage.RESTARTING if self.was_ready else Stage.FAILED, f"{text}\n  starting again in {delay:.0f} s"
            )
            self._changed()
            await asyncio.sleep(delay)

    def _became_ready(self, process: RuntimeProcess) -> None:
        self.upstream = Upstream(self.name, process.spec.host, process.spec.port)
        self.failure = None
        self.was_ready = True
        self._tell(Stage.READY)
        self._changed()

    async def _fetch_models(self) -> dict[str, Path]:
        folders = {}
        for download in self._container.downloads:
            folder = local_folder(download.uri)
            if folder is None:

                def progress(done: int, total: int | None) -> None:
                    self._tell(Stage.DOWNLOADING, done=done, total=total)

                progress(0, None)
                environment = {**self._places.environment, **self._container.fetch_environment}
                folder = await fetch(
                    download.uri, model_folder(self._places.cache, download.uri), environment, progress
                )
            folders[download.mount_path] = folder
        return folders

    def _process_spec(self, folders: Mapping[str, Path]) -> ProcessSpec:
        port = free_port()
        termination_file = self._places.state / f"{self.service.namespace}.{self.name}.termination.json"
        inherited = {k: v for k, v in self._places.environment.items() if k not in {"STORAGE_URI", "PORT"}}
        return ProcessSpec(
            arguments=self._container.arguments_for(port, folders),
            environment={
                **inherited,
                **self._container.environment_for(folders),
                "K_REVISION": self.name,
                "HAIZEN_HOST": "127.0.0.1",
                "HAIZEN_TERMINATION_LOG": str(termination_file),
                "HAIZEN_DRAIN_QUIET_SECONDS": "0",  # the gateway has drained it before
                "PYTHONUNBUFFERED": "1",
            },
            port=port,
            ready_path=self._container.ready_path,
            termination_file=termination_file,
        )

    def _on_line(self, line: str) -> None:
        self._report(OutputEvent(self.service, self.name, line))

    def _tell(self, stage: Stage, message: str = "", done: int = 0, total: int | None = None) -> None:
        self._report(RevisionEvent(self.service, self.name, stage, message, done, total))
