"""Triton's statistics of a model, out of the counters that its metrics are made of."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from haizen_runtime.engine.metrics import Histogram, ModelMetrics

_NOTHING = {"count": 0, "ns": 0}


def model_statistics(name: str, version: str, metrics: ModelMetrics) -> dict[str, Any]:
    """One entry of `model_stats`, as JSON; what each figure means is in docs/http.md. On the event loop."""
    sizes = sorted(metrics.batch_seconds.items())
    executions = sum(int(count) for _, (count, _) in sizes)
    answers = metrics.requests.items()
    succeeded = sum(count for (_, status), count in answers if status < 400)
    spent = sum(each.total for each in (metrics.preprocess, metrics.predict, metrics.explain, metrics.postprocess))
    ago = time.monotonic() - metrics.last_execution
    return {
        "name": name,
        "version": version,
        "last_inference": round((time.time() - ago) * 1000) if executions else 0,
        "inference_count": sum(rows * int(count) for rows, (count, _) in sizes),
        "execution_count": executions,
        "inference_stats": {
            "success": _duration(succeeded, spent),
            "fail": _duration(sum(count for _, count in answers) - succeeded, 0.0),
            "queue": _duration(metrics.executed_requests, metrics.queue_seconds),
            "compute_input": _total(metrics.preprocess),
            "compute_infer": _duration(executions, sum(seconds for _, (_, seconds) in sizes)),
            "compute_output": _total(metrics.postprocess),
            "cache_hit": _NOTHING,
            "cache_miss": _NOTHING,
        },
        "batch_stats": [
            {
                "batch_size": rows,
                "compute_input": _NOTHING,
                "compute_infer": _duration(int(count), seconds),
                "compute_output": _NOTHING,
            }
            for rows, (count, seconds) in sizes
        ],
    }


def _duration(count: int, seconds: float) -> dict[str, int]:
    return {"count": count, "ns": round(seconds * 1e9)}


def _total(histogram: Histogram) -> dict[str, int]:
    return _duration(sum(histogram.counts), histogram.total)
