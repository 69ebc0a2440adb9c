"""Triton's statistics as protobuf messages. Pure, and without numpy.

Field numbers: `open_inference.proto` beside this file.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from haizen_runtime.protocol.wire import bytes_field, number_field, text_field

_STATS: Final = (
    "success", "fail", "queue", "compute_input", "compute_infer", "compute_output", "cache_hit", "cache_miss",
)  # fmt: skip
"""The fields of InferStatistics, from 1 on."""
_BATCH_STATS: Final = ("compute_input", "compute_infer", "compute_output")
"""The fields of InferBatchStatistics after its batch_size."""


def model_statistics_response(models: Iterable[dict[str, Any]]) -> bytes:
    """A ModelStatisticsResponse of what `model_statistics` made."""
    return b"".join(bytes_field(1, _model(model)) for model in models)


def _model(model: dict[str, Any]) -> bytes:
    return b"".join((
        text_field(1, model["name"]),
        text_field(2, model["version"]),
        number_field(3, model["last_inference"]),
        number_field(4, model["inference_count"]),
        number_field(5, model["execution_count"]),
        bytes_field(6, _durations(model["inference_stats"], _STATS, first=1)),
        *(
            bytes_field(7, number_field(1, batch["batch_size"]) + _durations(batch, _BATCH_STATS, first=2))
            for batch in model["batch_stats"]
        ),
    ))  # fmt: skip


def _durations(stats: dict[str, Any], names: tuple[str, ...], first: int) -> bytes:
    return b"".join(
        bytes_field(number, number_field(1, stats[name]["count"]) + number_field(2, stats[name]["ns"]))
        for number, name in enumerate(names, first)
    )
