"""One version of one model: its life cycle, and the scheduler in front of its backend."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

from haizen_runtime.engine.cpus import usable_cpus
from haizen_runtime.engine.keys import batch_key
from haizen_runtime.engine.metrics import ModelMetrics
from haizen_runtime.engine.validation import validate
from haizen_runtime.protocol.errors import ModelLoadFailed, ModelNotReady, StartError

if TYPE_CHECKING:
    from haizen_runtime.engine.backend import Backend
    from haizen_runtime.engine.metrics import WorkerUsage
    from haizen_runtime.protocol.messages import InferenceRequest, InferenceResponse, ModelMetadata
    from haizen_runtime.scheduling.scheduler import BatchScheduler

LOOP_BUDGET_SECONDS: Final = 0.0005
"""A batch may run on the event loop when it is predicted to take less; a hop to a thread costs a fifth of it."""


class State(Enum):
    """Where a model is in its life (Triton's repository states, plus Failed)."""

    UNLOADED = "UNLOADED"
    LOADING = "LOADING"
    READY = "READY"
    UNLOADING = "UNLOADING"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class SchedulingSettings:
    """How one model's requests are scheduled."""

    max_batch_rows: int = 128
    """The most rows in one batch; 1 turns batching off."""
    max_batch_delay_seconds: float = 0.0
    """How long a request may wait for company."""
    queue_limit: int = 2048
    """The most requests that may wait."""
    instances: int = 0
    """Batches that may run at once on threads; 0 means one per CPU for libraries that allow it."""
    place: str = "auto"
    """Where batches run: auto, loop or thread."""


class Model:
    """A model as the registry knows it, whatever state it is in."""

    def __init__(
        self, name: str, version: str, load: Callable[[], Backend], scheduling: SchedulingSettings | None = None
    ) -> None:
        """`load` reads the files and returns the backend; it runs on a thread and raises StartError."""
        self.name = name
        self.version = version
        self.state = State.UNLOADED
        self.error: StartError | None = None
        self.metrics = ModelMetrics()
        self.scheduling = scheduling or SchedulingSettings()
        self.withdrawn = False
        """Unloaded on request: it is not on its way, and nobody waits for it."""
        self.loop_rows = 0
        """The largest batch that runs on the event loop, fixed at warm-up."""
        self._load = load
        self._backend: Backend | None = None
        self._scheduler: BatchScheduler[InferenceRequest, InferenceResponse] | None = None

    @property
    def ready(self) -> bool:
        """Loaded and warmed up, and its backend has no problem."""
        return self.state is State.READY and (self._backend is None or self._backend.problem is None)

    @property
    def failed(self) -> bool:
        """Could not be loaded; `error` says why."""
        return self.state is State.FAILED

    @property
    def settled(self) -> bool:
        """Ready or failed: no longer on its way."""
        return self.state is State.READY or self.state is State.FAILED

    @property
    def metadata(self) -> ModelMetadata:
        """What the model says about itself; raises ModelNotReady before it is loaded."""
        return self._loaded_backend().metadata

    @property
    def batchable(self) -> bool:
        """Whether the first axis of its inputs is a batch; raises ModelNotReady before it is loaded."""
        return self._loaded_backend().batchable

    @property
    def takes_json(self) -> bool:
        """Whether it takes v1 bodies as they are; raises ModelNotReady before it is loaded."""
        return self._loaded_backend().takes_json

    @property
    def workers(self) -> Sequence[WorkerUsage]:
        """Its worker processes, if it has any."""
        return self._backend.workers() if self._backend is not None else ()

    @property
    def queued(self) -> int:
        """Requests that wait now."""
        return len(self._scheduler.policy) if self._scheduler is not None else 0

    def load(self) -> None:
        """Read the files and warm up; blocking, for a thread. `start` on the event loop comes after.

        Raises StartError, which is kept in `error` as well.
        """
        from haizen_runtime.engine.warmup import warm_up

        self.state, self.error, self.withdrawn = State.LOADING, None, False
        started = time.perf_counter()
        try:
            backend = self._load()
            self.metrics.load_seconds = time.perf_counter() - started
            started = time.perf_counter()
            self.loop_rows = warm_up(backend, self.scheduling, LOOP_BUDGET_SECONDS)
            self.metrics.warmup_seconds = time.perf_counter() - started
        except StartError as error:
            self.state, self.error = State.FAILED, error
            raise
        except Exception as error:  # a library's own error, of whatever kind a broken file provokes
            line = (str(error).strip().splitlines() or [""])[0][:300]
            self.state = State.FAILED
            self.error = ModelLoadFailed(f"Model {self.name} cannot be loaded: {type(error).__name__}: {line}")
            raise self.error from error
        self._backend = backend

    def start(self) -> None:
        """Open the queue; on the event loop."""
        from haizen_runtime.engine.batches import run_batch
        from haizen_runtime.scheduling.policy import BatchPolicy
        from haizen_runtime.scheduling.scheduler import BatchScheduler
        from haizen_runtime.scheduling.threads import WorkerThreads

        backend, settings = self._loaded_backend(), self.scheduling
        instances = (backend.instances or settings.instances or usable_cpus()) if backend.concurrent else 1
        rows = min(settings.max_batch_rows, backend.max_batch_rows or settings.max_batch_rows)
        self._scheduler = BatchScheduler(
            BatchPolicy(
                rows if backend.batchable else 1,
                settings.max_batch_delay_seconds if backend.batchable else 0.0,
                settings.queue_limit,
            ),
            lambda requests: run_batch(backend, requests, self.version),
            WorkerThreads(instances, f"model-{self.name}"),
            instances,
            self.loop_rows,
            self.metrics,
        )
        self.state = State.READY

    async def infer(self, request: InferenceRequest) -> InferenceResponse:
        """Validate, queue and await the answer. Raises RequestError."""
        scheduler, backend = self._scheduler, self._backend
        if scheduler is None or backend is None or self.state is not State.READY:
            raise self.not_ready()
        validate(request, None if backend.takes_anything else backend.metadata, backend.batchable)
        rows = request.inputs[0].shape[0] if backend.batchable else 1
        key = batch_key(request)
        return await scheduler.submit(request, key, rows, request.deadline, request.priority, request.is_cancelled)

    def withdraw(self) -> None:
        """Take no more requests; those that were taken are still answered, until `unload`."""
        self.state, self.withdrawn = State.UNLOADING, True

    def unload(self) -> None:
        """Stop taking requests and let go of the files."""
        self.state = State.UNLOADED
        if self._scheduler is not None:
            self._scheduler.close()
            self._scheduler.threads.close()
            self._scheduler = None
        if self._backend is not None:
            self._backend.close()
            self._backend = None

    def _loaded_backend(self) -> Backend:
        if self._backend is None:
            raise self.not_ready()
        return self._backend

    def not_ready(self) -> ModelNotReady:
        """The error that says why there is no answer now."""
        problem = self._backend.problem if self._backend is not None else None
        why = self.error.message if self.error is not None else problem
        detail = f": {why}" if why is not None else f" ({self.state.value.lower()})"
        return ModelNotReady(f"Model {self.name} is not ready{detail}.")
