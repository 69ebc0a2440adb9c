"""The first inferences: they fill caches, prove that the model answers, and measure what a batch costs."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from haizen_runtime.protocol.errors import ModelLoadFailed, StartError

if TYPE_CHECKING:
    from haizen_runtime.engine.backend import Backend
    from haizen_runtime.engine.scheduling_settings import SchedulingSettings

REPEATS: Final = 5
"""Timed runs of each size, at least; the fastest counts, since only noise makes one slower."""
MOST_REPEATS: Final = 100
"""Timed runs of each size, at most: on a busy machine the first ones may all be interrupted."""
TIMED_SECONDS: Final = 0.02
"""How long the runs beyond the least number may go on."""


def warm_up(backend: Backend, settings: SchedulingSettings, budget_seconds: float) -> int:
    """Run made-up inputs through the backend; returns the largest batch that may run on the event loop.

    Raises ModelLoadFailed when the model cannot answer a well-formed request.
    """
    sample = backend.sample(1)
    if sample is None:
        return settings.max_batch_rows if settings.place == "loop" else 0
    try:
        backend.execute(sample, None)
    except StartError:
        raise
    except Exception as error:
        line = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
        raise ModelLoadFailed(f"The model is loaded and fails its first inference: {line}") from error
    if settings.place != "auto":
        return settings.max_batch_rows if settings.place == "loop" else 0
    if not backend.cheap:
        return 0
    many = settings.max_batch_rows if backend.batchable else 1
    one_row = _fastest(lambda: backend.execute(sample, None))
    if one_row >= budget_seconds or many == 1:
        return int(one_row < budget_seconds)
    large = backend.sample(many)
    assert large is not None
    cost = _fastest(lambda: backend.execute(large, None))
    return predicted_rows(one_row, cost, many, budget_seconds)


def predicted_rows(one_row_seconds: float, many_rows_seconds: float, many: int, budget_seconds: float) -> int:
    """The most rows, up to `many`, whose cost on the line through both measurements is within the budget."""
    if one_row_seconds >= budget_seconds:
        return 0
    if many_rows_seconds <= budget_seconds:
        return many
    per_row = (many_rows_seconds - one_row_seconds) / (many - 1)
    return min(many, 1 + int((budget_seconds - one_row_seconds) / per_row))


def _fastest(run: Callable[[], object]) -> float:
    fastest, spent = float("inf"), 0.0
    for count in range(MOST_REPEATS):
        if count >= REPEATS and spent >= TIMED_SECONDS:
            break
        started = time.perf_counter()
        run()
        took = time.perf_counter() - started
        fastest, spent = min(fastest, took), spent + took
    return fastest
