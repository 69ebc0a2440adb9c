"""Triton's queue policy: how long a request may wait for its turn, and who goes first."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from haizen_runtime.engine.backend import Backend
from haizen_runtime.engine.model import Model
from haizen_runtime.engine.scheduling_settings import SchedulingSettings
from haizen_runtime.protocol.errors import InvalidInput, QueueFull, QueueTimeout
from haizen_runtime.protocol.messages import InferenceRequest, ModelMetadata, Tensor, TensorMetadata
from haizen_runtime.protocol.parameters import apply_parameters
from haizen_runtime.scheduling.queue_policy import QueuePolicy
from tests.runtime.conftest import until


@pytest.mark.parametrize(
    ("levels", "default", "asked", "level"),
    [
        pytest.param(0, 1, 7, 7, id="no-levels"),
        pytest.param(3, 2, 0, 2, id="none-named"),
        pytest.param(3, 2, 1, 1, id="first"),
        pytest.param(3, 2, 3, 3, id="last"),
        pytest.param(3, 2, 4, 2, id="above"),
    ],
)
def test_levels(levels: int, default: int, asked: int, level: int) -> None:
    assert QueuePolicy(0.0, levels, default).level(asked) == level


@given(st.floats(0, 100), st.floats(0, 100), st.none() | st.floats(0, 100))
def test_a_request_may_only_shorten_its_wait(now: float, queue: float, own: float | None) -> None:
    by = QueuePolicy(queue).start_by(now, own)
    limits = [seconds for seconds in (queue, own) if seconds]
    assert by == (now + min(limits) if limits else None)


@pytest.mark.parametrize(
    ("value", "seconds"), [(0, None), (1, 1e-6), (2_500_000, 2.5)], ids=["none", "a-microsecond", "longer"]
)
def test_the_parameter_timeout(value: int, seconds: float | None) -> None:
    request = InferenceRequest("m", [])
    apply_parameters(request, {"timeout": value})
    assert request.queue_timeout == seconds


@pytest.mark.parametrize("value", [-1, 1.5, "1", True])
def test_a_timeout_that_is_none(value: Any) -> None:
    with pytest.raises(InvalidInput, match="timeout must be an integer"):
        apply_parameters(InferenceRequest("m", []), {"timeout": value})


class Gated(Backend):
    """Runs one request after the other, once its gate is open, and remembers them."""

    batchable = False
    metadata = ModelMetadata("test", (TensorMetadata("x", "FP64", (1,)),), (TensorMetadata("x", "FP64", (1,)),))

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.begun = threading.Event()
        self.seen: list[int] = []

    def execute(self, inputs: Any, outputs: Sequence[str] | None) -> dict[str, Any]:
        self.begun.set()
        assert self.gate.wait(60)
        self.seen.append(int(inputs["x"][0]))
        return dict(inputs)

    def sample(self, rows: int) -> None:
        return None


def started(queue: QueuePolicy, queue_limit: int = 100) -> tuple[Model, Gated]:
    backend = Gated()
    model = Model("m", "1", lambda: backend, SchedulingSettings(queue_limit=queue_limit, queue=queue))
    model.load()
    model.start()
    return model, backend


def ask(model: Model, number: int, **fields: Any) -> asyncio.Task[Any]:
    array = np.array([float(number)])
    return asyncio.ensure_future(model.infer(InferenceRequest("m", [Tensor("x", "FP64", (1,), array)], **fields)))


async def test_the_first_level_runs_first() -> None:
    model, backend = started(QueuePolicy(0.0, 3, 2))
    tasks = [ask(model, 0)]
    await until(backend.begun.is_set)  # it has its turn; the others wait
    tasks += [ask(model, 30, priority=3), ask(model, 20), ask(model, 21, priority=9), ask(model, 10, priority=1)]
    await until(lambda: model.queued == 4)
    backend.gate.set()
    await asyncio.gather(*tasks)
    assert backend.seen == [0, 10, 20, 21, 30]


@pytest.mark.parametrize(
    ("queue", "own"),
    [
        # The first request has its turn well before that.
        pytest.param(QueuePolicy(1.0), None, id="of-the-queue"),
        pytest.param(QueuePolicy(), 0.01, id="of-the-request"),
        pytest.param(QueuePolicy(500.0), 0.01, id="the-request-s-is-shorter"),
        pytest.param(QueuePolicy(1.0), 500.0, id="the-request-s-is-longer"),
    ],
)
async def test_who_waits_too_long_is_told(queue: QueuePolicy, own: float | None) -> None:
    model, backend = started(queue)
    running = ask(model, 1)
    await until(backend.begun.is_set)
    waiting = ask(model, 2, queue_timeout=own)
    with pytest.raises(QueueTimeout, match="too long for its turn") as raised:
        await waiting
    assert (raised.value.status, raised.value.retry_after_seconds) == (503, 1)
    backend.gate.set()
    await running  # it had its turn: however long it takes is no matter of the queue
    assert backend.seen == [1]
    assert model.metrics.drops == {"timeout": 1}


async def test_a_full_queue_is_per_model() -> None:
    full, gate = started(QueuePolicy(), queue_limit=1)
    other, other_gate = started(QueuePolicy(), queue_limit=1)
    tasks = [ask(full, 1)]
    await until(gate.begun.is_set)
    tasks.append(ask(full, 2))
    with pytest.raises(QueueFull):
        await ask(full, 3)
    tasks.append(ask(other, 4))
    for each in (gate, other_gate):
        each.gate.set()
    await asyncio.gather(*tasks)
    assert gate.seen == [1, 2]
