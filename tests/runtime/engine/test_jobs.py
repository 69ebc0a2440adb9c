"""Explanations and streams in the figures of their model."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest

from haizen_runtime.engine.backend import Backend
from haizen_runtime.engine.model import Model
from haizen_runtime.engine.scheduling_settings import SchedulingSettings
from haizen_runtime.protocol.messages import InferenceRequest, ModelMetadata, Tensor, TensorMetadata

COLUMN = TensorMetadata("x", "FP64", (-1, 1))


class Explaining(Backend):
    metadata = ModelMetadata("test", (COLUMN,), (COLUMN,))
    explains = True

    def sample(self, rows: int) -> None:
        """As model code: nothing is known of its inputs."""

    def execute(self, inputs: Any, outputs: Any) -> dict[str, Any]:
        return dict(inputs)

    def explain(self, inputs: Any, outputs: Any) -> dict[str, Any]:
        return dict(inputs)


class Streaming(Explaining):
    explains = False
    decoupled = True

    def stream(self, inputs: Any, outputs: Any, parameters: Any, answers: Any) -> None:
        for _ in range(3):
            answers.put(inputs)


async def explained(model: Model, request: InferenceRequest) -> None:
    await model.explain(request)


async def streamed(model: Model, request: InferenceRequest) -> None:
    assert len([answer async for answer in model.stream(request)]) == 3


@pytest.mark.parametrize("place", ["auto", "loop", "thread"])
@pytest.mark.parametrize(("backend", "ask"), [(Explaining, explained), (Streaming, streamed)])
async def test_a_job_runs_on_a_thread_and_is_one_row(
    backend: type[Backend], ask: Callable[[Model, InferenceRequest], Awaitable[None]], place: str
) -> None:
    model = Model("m", "1", backend, SchedulingSettings(place=place))
    model.load()
    model.start()
    for _ in range(2):
        await ask(model, InferenceRequest("m", [Tensor("x", "FP64", (1, 1), np.zeros((1, 1)))]))
    metrics = model.metrics
    assert {rows: count for rows, (count, _) in metrics.batch_seconds.items()} == {1: 2}
    assert metrics.batches == {"loop": 0, "thread": 2}
    model.unload()
