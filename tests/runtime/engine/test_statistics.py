"""Triton's statistics, out of the counters, as JSON and as protobuf."""

from __future__ import annotations

import time

from google.protobuf import json_format

from haizen_runtime.engine.metrics import ModelMetrics
from haizen_runtime.engine.statistics import model_statistics
from haizen_runtime.protocol.statistics_proto import model_statistics_response
from tests.runtime.protobufs import classes

NOTHING = {"count": 0, "ns": 0}


def used() -> ModelMetrics:
    metrics = ModelMetrics()
    ended = float(int(time.monotonic()))  # whole, so that the differences are exact, and not in the future
    metrics.batch_done(1, 1, True, 0.5, ended - 0.25, ended)
    metrics.batch_done(4, 2, False, 1.5, ended - 2, ended)
    metrics.batch_done(4, 4, False, 0.0, ended - 1, ended)
    metrics.preprocess.observe(0.5)
    metrics.predict.observe(4.0)
    metrics.postprocess.observe(0.25)
    for status in (200, 200, 400, 503):
        metrics.answered("v2", status)
    return metrics


def test_figures() -> None:
    before = time.time()
    stats = model_statistics("m", "2", used())
    assert (before - 60) * 1000 < stats.pop("last_inference") <= time.time() * 1000 + 1
    assert stats == {
        "name": "m",
        "version": "2",
        "inference_count": 9,
        "execution_count": 3,
        "inference_stats": {
            "success": {"count": 2, "ns": 4_750_000_000},
            "fail": {"count": 2, "ns": 0},
            "queue": {"count": 7, "ns": 2_000_000_000},
            "compute_input": {"count": 1, "ns": 500_000_000},
            "compute_infer": {"count": 3, "ns": 3_250_000_000},
            "compute_output": {"count": 1, "ns": 250_000_000},
            "cache_hit": NOTHING,
            "cache_miss": NOTHING,
        },
        "batch_stats": [
            {"batch_size": 1, "compute_input": NOTHING, "compute_infer": {"count": 1, "ns": 250_000_000},
             "compute_output": NOTHING},
            {"batch_size": 4, "compute_input": NOTHING, "compute_infer": {"count": 2, "ns": 3_000_000_000},
             "compute_output": NOTHING},
        ],
    }  # fmt: skip


def test_a_model_that_did_nothing() -> None:
    stats = model_statistics("m", "1", ModelMetrics())
    assert (stats["last_inference"], stats["inference_count"], stats["batch_stats"]) == (0, 0, [])


def test_protobuf_says_the_same() -> None:
    """The message, read by Google's own classes, is the message that Google makes of the JSON."""
    models = [model_statistics("m", "2", used()), model_statistics("n", "1", ModelMetrics())]
    response = classes().ModelStatisticsResponse
    expected = json_format.ParseDict({"model_stats": models}, response())
    assert response.FromString(model_statistics_response(models)) == expected
