"""Running several requests as one: merge along the first axis, execute, split; one bad request fails alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from haizen_runtime.engine.backend import Backend
from haizen_runtime.protocol.dtypes import datatype_of
from haizen_runtime.protocol.errors import ClientGone, DeadlineExceeded, InferenceFailed, ModelNotReady, RequestError
from haizen_runtime.protocol.messages import InferenceRequest, InferenceResponse, Tensor

Array = np.ndarray[Any, Any]


def run_batch(
    backend: Backend, requests: Sequence[InferenceRequest], version: str | None
) -> list[InferenceResponse | Exception]:
    """Run requests of equal key together. A result per request, never an exception raised.

    When the batch fails, each request runs by itself, so that only the one at fault gets the error.
    """
    try:
        if len(requests) == 1:
            return [_run_one(backend, requests[0], version)]
        return _run_merged(backend, requests, version)
    except Exception as error:  # whatever a model library raises must not take the server down
        if len(requests) == 1 or isinstance(error, (ModelNotReady, DeadlineExceeded, ClientGone)):
            # A worker that is gone or hung has taken the time of all: another run of each would take it again. And when
            # the batch was cancelled, nobody waits for any of them.
            return [as_request_error(error)] * len(requests)
    results: list[InferenceResponse | Exception] = []
    for request in requests:
        try:
            results.append(_run_one(backend, request, version))
        except Exception as error:
            results.append(as_request_error(error))
    return results


def as_request_error(error: Exception) -> RequestError:
    """An error that may leave the server: our own as they are, a library's by its first line."""
    if isinstance(error, RequestError):
        return error
    lines = str(error).strip().splitlines() or [""]
    text = f"{type(error).__name__}: {lines[0][:300]}" if lines[0] else type(error).__name__
    failure = InferenceFailed(f"The model failed: {text}")
    failure.__cause__ = error
    return failure


def _run_one(backend: Backend, request: InferenceRequest, version: str | None) -> InferenceResponse:
    return response_of(request, backend.execute(inputs_of(request), wanted_of(request)), version)


def _run_merged(
    backend: Backend, requests: Sequence[InferenceRequest], version: str | None
) -> list[InferenceResponse | Exception]:
    first = requests[0]
    if len(first.inputs) == 1:
        inputs = {first.inputs[0].name: np.concatenate([request.inputs[0].data for request in requests])}
    else:
        inputs = {
            tensor.name: np.concatenate([_input(request, index, tensor.name) for request in requests])
            for index, tensor in enumerate(first.inputs)
        }
    outputs = backend.execute(inputs, wanted_of(first))
    total = next(iter(inputs.values())).shape[0]
    named = []
    for name, array in outputs.items():
        if array.shape[:1] != (total,):
            raise InferenceFailed(f'Output "{name}" has shape {array.shape} for a batch of {total} rows.')
        named.append((name, datatype_of(array), array, array.shape[1:]))
    results: list[InferenceResponse | Exception] = []
    start = 0
    for request in requests:
        rows = request.inputs[0].shape[0]
        end = start + rows
        tensors = [Tensor(name, datatype, (rows, *row), array[start:end]) for name, datatype, array, row in named]
        results.append(InferenceResponse(request.model, version, tensors, request.id))
        start = end
    return results


def _input(request: InferenceRequest, index: int, name: str) -> Array:
    tensor = request.inputs[index]
    return tensor.data if tensor.name == name else next(t.data for t in request.inputs if t.name == name)


def inputs_of(request: InferenceRequest) -> dict[str, Array]:
    """Arrays by input name."""
    return {tensor.name: tensor.data for tensor in request.inputs}


def wanted_of(request: InferenceRequest) -> list[str] | None:
    """The names of the outputs that were asked for; None for all."""
    return [output.name for output in request.outputs] if request.outputs else None


def response_of(request: InferenceRequest, outputs: Mapping[str, Array], version: str | None) -> InferenceResponse:
    """The answer to a request."""
    tensors = [Tensor(name, datatype_of(array), array.shape, array) for name, array in outputs.items()]
    return InferenceResponse(request.model, version, tensors, request.id)
