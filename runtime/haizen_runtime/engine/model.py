"""One version of one model: its life cycle, and the scheduler in front of its backend."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from haizen_runtime.engine.cpus import usable_cpus
from haizen_runtime.engine.keys import batch_key
from haizen_runtime.engine.metrics import ModelMetrics
from haizen_runtime.engine.scheduling_settings import SchedulingSettings
from haizen_runtime.engine.validation import validate
from haizen_runtime.protocol.errors import (
    DecoupledModel,
    ExplainNotImplemented,
    ModelLoadFailed,
    ModelNotReady,
    StartError,
)
from haizen_runtime.scheduling.queue_policy import NO_RULES

if TYPE_CHECKING:
    from haizen_runtime.engine.backend import Arrays, Backend
    from haizen_runtime.engine.jobs import Job
    from haizen_runtime.engine.metrics import WorkerUsage
    from haizen_runtime.engine.streams import AnswerStream
    from haizen_runtime.engine.timing import InferenceTracer
    from haizen_runtime.protocol.messages import InferenceRequest, InferenceResponse, ModelMetadata
    from haizen_runtime.protocol.model_config import ModelFacts
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
class ModelFiles:
    """How one version is read."""

    load: Callable[[], Backend]
    """Reads the files and returns the backend; blocking, raises StartError."""
    fingerprint: Hashable = None
    """Differs when the files do; None when that cannot be told."""


Scan = Callable[[], Mapping[str, ModelFiles]]
"""Looks which versions there are, lowest first; blocking, raises StartError."""


@dataclass(frozen=True, slots=True)
class Retired:
    """What served until its successor took its place. It still answers what it has taken."""

    backend: Backend
    scheduler: BatchScheduler[InferenceRequest, InferenceResponse]

    @property
    def busy(self) -> bool:
        """Whether a request is left."""
        return self.scheduler.busy

    def close(self) -> None:
        """Let go of the files, threads and processes."""
        self.scheduler.close()
        self.scheduler.threads.close()
        self.backend.close()


class Model:
    """A model as the registry knows it, whatever state it is in."""

    def __init__(
        self,
        name: str,
        version: str,
        load: Callable[[], Backend],
        scheduling: SchedulingSettings | None = None,
        scan: Scan | None = None,
    ) -> None:
        """`load` reads the files and returns the backend; it runs on a thread and raises StartError.

        With `scan` it is what tells which versions there are and how each is loaded; `version` is then provisional.
        """
        self.name = name
        self.version = version
        self.state = State.UNLOADED
        self.error: StartError | None = None
        self.metrics = ModelMetrics()
        self.scheduling = scheduling or SchedulingSettings()
        self._has_queue_policy = self.scheduling.queue != NO_RULES
        self.withdrawn = False
        """Unloaded on request: it is not on its way, and nobody waits for it."""
        self.loop_rows = 0
        """The largest batch that runs on the event loop, fixed at warm-up."""
        self.files = ModelFiles(load)
        """What it was loaded from, or will be."""
        self.scan = scan
        self.provisional = scan is not None
        """Whether its version is not known yet, because nobody has looked at the files."""
        self.reload_error: StartError | None = None
        """Why the last reload failed, while the former one serves."""
        self.takes_headers = False
        """Whether doors are to set a request's headers."""
        self._tracer: InferenceTracer | None = None
        self._backend: Backend | None = None
        self._successor: tuple[Backend, int] | None = None
        self._scheduler: BatchScheduler[Any, Any] | None = None

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
    def takes_anything(self) -> bool:
        """Whether its inputs may have any name, datatype and shape; raises ModelNotReady before it is loaded."""
        return self._loaded_backend().takes_anything

    @property
    def explains(self) -> bool:
        """Whether it explains its predictions; raises ModelNotReady before it is loaded."""
        return self._loaded_backend().explains

    @property
    def decoupled(self) -> bool:
        """Whether it gives any number of answers to a request; raises ModelNotReady before it is loaded."""
        return self._loaded_backend().decoupled

    @property
    def sample(self) -> Callable[[int], Arrays | None]:
        """Makes up inputs of so many rows, where that can be done; raises ModelNotReady before it is loaded."""
        return self._loaded_backend().sample

    @property
    def facts(self) -> ModelFacts:
        """What its configuration is made of; raises ModelNotReady unless it is loaded."""
        from haizen_runtime.protocol.model_config import ModelFacts

        scheduler, backend = self._open()
        policy, queue = scheduler.policy, self.scheduling.queue
        return ModelFacts(
            self.name, backend.metadata, backend.batchable, backend.decoupled, policy.max_rows,
            policy.max_delay_seconds, policy.queue_limit, queue.timeout_seconds, queue.priority_levels,
            queue.default_priority_level, scheduler.concurrency,
        )  # fmt: skip

    @property
    def workers(self) -> Sequence[WorkerUsage]:
        """Its worker processes, if it has any."""
        return self._backend.workers() if self._backend is not None else ()

    @property
    def queued(self) -> int:
        """Requests that wait now."""
        return len(self._scheduler.policy) if self._scheduler is not None else 0

    def sibling(self, version: str) -> Model:
        """Another version of the same model, not loaded."""
        sibling = Model(self.name, version, self.files.load, self.scheduling, self.scan)
        sibling.provisional = False
        return sibling

    def load(self, files: ModelFiles | None = None) -> None:
        """Read the files and warm up; blocking, for a thread. `start` on the event loop comes after.

        A model that serves goes on doing so meanwhile, and when it fails. Raises StartError, which is kept in
        `error`, or in `reload_error` while the former one serves.
        """
        if self.state is not State.READY:
            self.state, self.error, self.withdrawn = State.LOADING, None, False
        files = files or self.files
        started = time.perf_counter()
        try:
            backend = files.load()
            loaded = time.perf_counter()
            loop_rows = self._warmed_up(backend)
        except StartError as error:
            self.cannot_load(error)
            raise
        except Exception as error:  # a library's own error, of whatever kind a broken file provokes
            line = (str(error).strip().splitlines() or [""])[0][:300]
            failure = ModelLoadFailed(f"Model {self.name} cannot be loaded: {type(error).__name__}: {line}")
            self.cannot_load(failure)
            raise failure from error
        self.metrics.load_seconds = loaded - started
        self.metrics.warmup_seconds = time.perf_counter() - loaded
        self._successor = (backend, loop_rows)
        self.files, self.reload_error = files, None

    def cannot_load(self, error: StartError) -> None:
        """Take note of why the files cannot be loaded."""
        self.metrics.loads["failed"] += 1
        if self.state is State.READY:
            self.reload_error = error
        else:
            self.state, self.error = State.FAILED, error

    def _warmed_up(self, backend: Backend) -> int:
        from haizen_runtime.engine.warmup import warm_up

        try:
            return warm_up(backend, self.scheduling, LOOP_BUDGET_SECONDS)
        except Exception:
            backend.close()
            raise

    def start(self) -> Retired | None:
        """Open the queue of what was loaded, in one step with closing that of its predecessor; on the event loop.

        Returns the predecessor, which the caller closes once it has answered.
        """
        from haizen_runtime.engine.batches import run_batch
        from haizen_runtime.engine.timing import installed_tracer, timed
        from haizen_runtime.scheduling.policy import BatchPolicy
        from haizen_runtime.scheduling.scheduler import BatchScheduler
        from haizen_runtime.scheduling.threads import WorkerThreads

        assert self._successor is not None, "start comes after load"
        (backend, self.loop_rows), self._successor, settings = self._successor, None, self.scheduling
        retired = None
        if self._backend is not None and self._scheduler is not None:
            retired = Retired(self._backend, self._scheduler)
        self._backend, self.takes_headers = backend, backend.takes_headers
        instances = (backend.instances or settings.instances or usable_cpus()) if backend.concurrent else 1
        rows = min(settings.max_batch_rows, backend.max_batch_rows or settings.max_batch_rows)
        self._tracer = installed_tracer()
        run: Callable[..., Any] = run_batch
        if backend.decoupled or backend.explains or backend.takes_headers:
            from haizen_runtime.engine.jobs import run_work as run

            self.loop_rows = 0  # a job takes its time on a thread, and what runs beside it as well
        self._scheduler = BatchScheduler(
            BatchPolicy(
                rows if backend.batchable and not backend.takes_headers else 1,
                settings.max_batch_delay_seconds if backend.batchable else 0.0,
                settings.queue_limit,
            ),
            timed(lambda requests: run(backend, requests, self.version), self._tracer is not None),
            WorkerThreads(instances, f"model-{self.name}"),
            instances,
            self.loop_rows,
            self.metrics,
            backend.cancellable,
        )
        self.state = State.READY
        self.metrics.loads["ok"] += 1
        return retired

    async def infer(self, request: InferenceRequest) -> InferenceResponse:
        """Validate, queue and await the answer. Raises RequestError."""
        return await self.submit(request)

    def submit(self, request: InferenceRequest) -> Awaitable[InferenceResponse]:
        """Validate and queue; what comes back is to be awaited at once and gives the answer. Raises RequestError."""
        scheduler, backend = self._open()
        if backend.decoupled:
            raise DecoupledModel(self.name)
        answer = self._submit(scheduler, backend, request)
        return answer if self._tracer is None else self._tracer.follow(self, request, answer)

    async def explain(self, request: InferenceRequest) -> InferenceResponse:
        """Explain a prediction: validate, queue and await the answer's v1 body. Raises RequestError."""
        from haizen_runtime.engine.jobs import explanation

        scheduler, backend = self._open()
        if not backend.explains:
            raise ExplainNotImplemented(self.name)
        self._validate(request, backend)
        job = explanation(backend, request, self.version)
        answer = self._submit_job(scheduler, job, request, request.is_cancelled)
        response: InferenceResponse = await self._followed(request, answer)
        return response

    def stream(self, request: InferenceRequest) -> AnswerStream:
        """Validate, queue and give the answers as they are made, be it one or many. Raises RequestError.

        The stream is to be read to its end or stopped.
        """
        from haizen_runtime.engine.batches import response_of
        from haizen_runtime.engine.jobs import streaming
        from haizen_runtime.engine.streams import AnswerStream

        scheduler, backend = self._open()
        answers = AnswerStream(asyncio.get_running_loop(), lambda outputs: response_of(request, outputs, self.version))
        request.is_cancelled = answers.is_stopped
        if backend.decoupled:
            self._validate(request, backend)
            job = streaming(backend, request, answers)
            end = self._submit_job(scheduler, job, request, answers.is_stopped)
        else:
            end = self._submit(scheduler, backend, request)
        answers.follow(self._followed(request, end))
        return answers

    def _followed(self, request: InferenceRequest, answer: asyncio.Future[Any]) -> asyncio.Future[Any]:
        """The answer, traced where that is on."""
        return answer if self._tracer is None else asyncio.ensure_future(self._tracer.follow(self, request, answer))

    def _open(self) -> tuple[BatchScheduler[Any, Any], Backend]:
        scheduler, backend = self._scheduler, self._backend
        if scheduler is None or backend is None or self.state is not State.READY:
            raise self.not_ready()
        return scheduler, backend

    @staticmethod
    def _validate(request: InferenceRequest, backend: Backend) -> None:
        validate(request, None if backend.takes_anything else backend.metadata, backend.batchable)

    def _submit(
        self, scheduler: BatchScheduler[Any, Any], backend: Backend, request: InferenceRequest
    ) -> asyncio.Future[InferenceResponse]:
        self._validate(request, backend)
        rows = request.inputs[0].shape[0] if backend.batchable else 1
        key, priority, start_by = batch_key(request), request.priority, None
        if self._has_queue_policy or request.queue_timeout is not None:
            queue = self.scheduling.queue
            priority = queue.level(priority)
            start_by = queue.start_by(scheduler.now(), request.queue_timeout)
        return scheduler.submit(request, key, rows, request.deadline, priority, request.is_cancelled, start_by)

    def _submit_job(
        self,
        scheduler: BatchScheduler[Any, Any],
        job: Job,
        request: InferenceRequest,
        is_cancelled: Callable[[], bool] | None,
    ) -> asyncio.Future[Any]:
        """Queue a job, one row to whoever counts: its key is its own, so that it shares no batch."""
        return scheduler.submit(job, job, 1, request.deadline, request.priority, is_cancelled)

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
