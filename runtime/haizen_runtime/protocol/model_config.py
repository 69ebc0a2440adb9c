"""Triton's model configuration: what a loaded model is, in the words of its config.pbtxt. Pure.

Only what is known is said; a field that is not there has Triton's default or is nobody's to know.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from haizen_runtime.protocol.messages import ModelMetadata, TensorMetadata


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What a configuration is made of."""

    name: str
    metadata: ModelMetadata
    batchable: bool
    """Whether the first axis of every tensor is a batch."""
    decoupled: bool
    max_batch_rows: int
    """The most rows that run as one batch."""
    max_queue_delay_seconds: float
    queue_limit: int
    queue_timeout_seconds: float
    priority_levels: int
    default_priority_level: int
    instances: int
    """Batches that run at once."""


def model_config(facts: ModelFacts) -> dict[str, Any]:
    """The configuration as JSON: sizes without the batch axis where max_batch_size is above 0 (Triton's rule)."""
    config: dict[str, Any] = {
        "name": facts.name,
        "platform": facts.metadata.platform,
        "max_batch_size": facts.max_batch_rows if facts.batchable else 0,
        "input": _tensors(facts.metadata.inputs, facts.batchable),
        "output": _tensors(facts.metadata.outputs, facts.batchable),
        "instance_group": [{"count": facts.instances}],
        "model_transaction_policy": {"decoupled": facts.decoupled},
    }
    if facts.batchable and facts.max_batch_rows > 1:
        config["dynamic_batching"] = {
            "max_queue_delay_microseconds": round(facts.max_queue_delay_seconds * 1_000_000),
            "priority_levels": facts.priority_levels,
            "default_priority_level": facts.default_priority_level if facts.priority_levels else 0,
            "default_queue_policy": {
                "timeout_action": "REJECT",
                "default_timeout_microseconds": round(facts.queue_timeout_seconds * 1_000_000),
                "allow_timeout_override": True,
                "max_queue_size": facts.queue_limit,
            },
        }
    return config


def _tensors(tensors: Iterable[TensorMetadata], batchable: bool) -> list[dict[str, Any]]:
    return [
        {
            "name": tensor.name,
            "data_type": "TYPE_STRING" if tensor.datatype == "BYTES" else f"TYPE_{tensor.datatype}",
            "dims": list(tensor.shape[1:] if batchable else tensor.shape),
        }
        for tensor in tensors
    ]
