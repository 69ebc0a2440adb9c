"""Loading, reloading and unloading models while requests come: one change of a name at a time."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Coroutine, Hashable, Mapping
from typing import TYPE_CHECKING, Final, Protocol

from haizen_runtime.engine.daemons import on_daemon_thread
from haizen_runtime.engine.model import Model, ModelFiles, State
from haizen_runtime.protocol.errors import ModelNotReady, ReloadFailed, StartError

if TYPE_CHECKING:
    from haizen_runtime.engine.dataplane import DataPlane
    from haizen_runtime.engine.model import Retired

log = logging.getLogger("haizen_runtime")

POLL_SECONDS: Final = 0.02
"""How often it is looked whether the last request of what is let go of is answered."""


class Changes(Protocol):
    """What the doors ask for. A name stands for all versions of it."""

    async def load(self, name: str) -> None:
        """Load what is there now. Raises RequestError; what served before goes on then."""

    async def unload(self, name: str) -> None:
        """Answer what was taken, then let go of every version. Raises RequestError."""


class Repository:
    """The models of this process. Used from the event loop only.

    A loaded model is never touched by the load of its successor: that is read and warmed up beside it, takes its
    place in one step, and what the former one had taken is still answered by it.
    """

    def __init__(self, plane: DataPlane) -> None:
        self._plane = plane
        self._locks: dict[str, asyncio.Lock] = {}
        self._leaving: set[asyncio.Task[None]] = set()

    async def start(self, name: str) -> None:
        """The first load of a name. Raises StartError when no version of it can be served."""
        async with self._lock(name):
            failures = await self._load(name)
            if failures and not any(model.ready for model in self._plane.registry.all(name)):
                raise failures[0]

    async def load(self, name: str) -> None:
        """Load what the files are now; versions whose files did not change stay as they are (Triton's rule).

        Raises ModelNotFound, ModelNotReady when nothing can be served or the process ends, ReloadFailed when the
        former ones go on serving.
        """
        self._plane.registry.get(name)
        async with self._lock(name):
            if self._plane.draining:
                raise ModelNotReady("The server is shutting down; it loads no models any more.")
            failures = await self._load(name)
            model = self._plane.model(name)
            if failures and model.ready:
                raise ReloadFailed(
                    f"Model {name} could not be reloaded, the former one goes on serving: {failures[0].message}"
                )
            if not model.ready:
                raise model.not_ready()

    async def unload(self, name: str) -> None:
        """Let go of a name once what it has taken is answered. The registry keeps it, and `load` brings it back.

        Raises ModelNotFound, or ModelNotReady for a model that could not be loaded.
        """
        self._plane.registry.get(name)
        async with self._lock(name):
            for model in self._plane.registry.all(name):
                if model.ready:
                    model.withdraw()
                    while model.metrics.in_flight:  # noqa: ASYNC110  # rare, and costs requests nothing
                        await asyncio.sleep(POLL_SECONDS)
                    model.unload()
                if not model.withdrawn or model.ready:
                    raise model.not_ready()

    async def look(self, name: str) -> Hashable:
        """What the files of a name are now, to be compared. Raises StartError when they cannot be read."""
        found = await self._scan(self._plane.registry.all(name))
        return tuple((version, files.fingerprint) for version, files in found.items())

    def _lock(self, name: str) -> asyncio.Lock:
        return self._locks.setdefault(name, asyncio.Lock())

    async def _load(self, name: str) -> list[StartError]:
        """Bring a name to what its files are; returns why versions could not be loaded."""
        registry = self._plane.registry
        models = registry.all(name)
        try:
            found = await self._scan(models)
        except StartError as error:
            log.error("model %s cannot be served: %s: %s", name, error.reason, error.message)
            for model in models:
                model.cannot_load(error)
            self._settle(name)
            return [error]
        if models[0].provisional:
            # Who asked before the versions were known waits for the highest one; each then goes where it wanted.
            registry.rename(models[0], list(found)[-1])
            for version in found:
                if registry.find(name, version) is None:
                    registry.add(models[0].sibling(version))
        failures = [
            failure for version in reversed(list(found)) if (failure := await self._bring_up(name, version, found))
        ]
        registry.choose_default(name)
        self._settle(name)
        if not failures:
            for model in registry.all(name):
                if model.version not in found:
                    registry.remove(model)
                    self._later(self._let_go(model))
        return failures

    async def _scan(self, models: list[Model]) -> Mapping[str, ModelFiles]:
        scan = models[0].scan
        if scan is None:
            return {model.version: ModelFiles(model.files.load) for model in models}
        return await on_daemon_thread(f"scan-{models[0].name}", scan)

    async def _bring_up(self, name: str, version: str, found: Mapping[str, ModelFiles]) -> StartError | None:
        """Load one version, unless it runs with these very files; returns why it cannot be."""
        registry, files = self._plane.registry, found[version]
        model = registry.find(name, version) or registry.all(name)[0].sibling(version)
        if model.ready and files.fingerprint is not None and files.fingerprint == model.files.fingerprint:
            return None
        try:
            await on_daemon_thread(f"load-{name}", lambda: model.load(files))
        except StartError as error:
            serves = "; the former one goes on serving" if model.ready else ""
            log.error("model %s cannot be served: %s: %s (version %s%s)", name, error.reason, error.message, version,
                      serves)  # fmt: skip
            return error
        retired = model.start()
        if registry.find(name, version) is None:
            registry.add(model)
        if retired is not None:
            self._later(self._retire(retired))
        metrics = model.metrics
        log.info(
            "model %s is ready (version %s, load %.2fs, warm-up %.3fs, %s)",
            name, version, metrics.load_seconds, metrics.warmup_seconds, _place_of(model.loop_rows),
        )  # fmt: skip
        return None

    def _settle(self, name: str) -> None:
        for model in self._plane.registry.all(name):
            self._plane.waiting.settled(model)

    async def _let_go(self, model: Model) -> None:
        """End a version that nobody finds any more, after the last request that has found it."""
        while model.metrics.in_flight:  # noqa: ASYNC110  # rare, and costs requests nothing
            await asyncio.sleep(POLL_SECONDS)
        if model.state is State.READY:
            model.withdraw()
        model.unload()
        _forget_garbage()

    async def _retire(self, retired: Retired) -> None:
        """End what was replaced, after its last request."""
        while retired.busy:  # noqa: ASYNC110  # rare, and costs requests nothing
            await asyncio.sleep(POLL_SECONDS)
        retired.close()
        _forget_garbage()

    def _later(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.ensure_future(work)
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)


def _forget_garbage() -> None:
    """Free what is left of a model: what the first load made is out of the collector's sight (`serving`)."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()


def _place_of(loop_rows: int) -> str:
    """Where a model's batches run, in words for the log."""
    if not loop_rows:
        return "nothing runs on the event loop"
    return f"batches of up to {loop_rows} rows on the event loop"
