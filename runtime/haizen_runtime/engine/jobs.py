"""Work that shares no batch: an explanation, or the many answers of a decoupled model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from haizen_runtime.engine.backend import Backend
from haizen_runtime.engine.batches import as_request_error, inputs_of, response_of, run_batch, wanted_of
from haizen_runtime.engine.call_details import ANSWER_DETAILS, CALL_DETAILS, add_details, details_of
from haizen_runtime.engine.streams import AnswerStream
from haizen_runtime.engine.timing import BatchTiming
from haizen_runtime.protocol.messages import InferenceRequest, InferenceResponse


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """Something that runs alone on a thread, in the queue of its model's requests."""

    request: InferenceRequest
    run: Callable[[], InferenceResponse | None]

    @property
    def timing(self) -> BatchTiming | None:
        """When it ran, for whoever wants to know (timing.py)."""
        return self.request.timing


def run_work(
    backend: Backend, work: Sequence[InferenceRequest | Job], version: str | None
) -> Sequence[InferenceResponse | Exception | None]:
    """Run a batch of requests, or the one job. Never raises."""
    first = work[0]
    request = first.request if isinstance(first, Job) else first
    token = CALL_DETAILS.set(None if request.headers is None else details_of(request))
    answer_token = ANSWER_DETAILS.set(None)
    try:
        if isinstance(first, Job):
            results: list[InferenceResponse | Exception | None] = [first.run()]
        else:
            results = [*run_batch(backend, work, version)]  # type: ignore[arg-type]  # a job is always alone
        details = ANSWER_DETAILS.get()
        if details is not None and isinstance(results[0], InferenceResponse):
            add_details(results[0], details)
        return results
    except Exception as error:
        return [as_request_error(error)]
    finally:
        CALL_DETAILS.reset(token)
        ANSWER_DETAILS.reset(answer_token)


def explanation(backend: Backend, request: InferenceRequest, version: str | None) -> Job:
    """The job that explains a prediction."""

    def run() -> InferenceResponse:
        return response_of(request, backend.explain(inputs_of(request), wanted_of(request)), version)

    return Job(request, run)


def streaming(backend: Backend, request: InferenceRequest, answers: AnswerStream) -> Job:
    """The job that gives a request's answers to a stream."""

    def run() -> None:
        backend.stream(inputs_of(request), wanted_of(request), request.parameters or {}, answers)

    return Job(request, run)
