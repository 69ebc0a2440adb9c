"""Triton's configuration of a model, with and without a batch axis."""

from __future__ import annotations

from dataclasses import replace

from haizen_runtime.protocol.messages import ModelMetadata, TensorMetadata
from haizen_runtime.protocol.model_config import ModelFacts, model_config

FACTS = ModelFacts(
    "m", ModelMetadata("onnx", (TensorMetadata("x", "FP32", (-1, 4)),), (TensorMetadata("y", "BYTES", (-1,)),)),
    True, False, 16, 0.002, 7, 0.5, 3, 2, 4,
)  # fmt: skip


def test_a_model_with_a_batch_axis() -> None:
    assert model_config(FACTS) == {
        "name": "m",
        "platform": "onnx",
        "max_batch_size": 16,
        "input": [{"name": "x", "data_type": "TYPE_FP32", "dims": [4]}],
        "output": [{"name": "y", "data_type": "TYPE_STRING", "dims": []}],
        "instance_group": [{"count": 4}],
        "model_transaction_policy": {"decoupled": False},
        "dynamic_batching": {
            "max_queue_delay_microseconds": 2000,
            "priority_levels": 3,
            "default_priority_level": 2,
            "default_queue_policy": {
                "timeout_action": "REJECT",
                "default_timeout_microseconds": 500_000,
                "allow_timeout_override": True,
                "max_queue_size": 7,
            },
        },
    }


def test_a_model_without_one() -> None:
    config = model_config(replace(FACTS, batchable=False, decoupled=True))
    assert config["max_batch_size"] == 0
    assert config["input"][0]["dims"] == [-1, 4]
    assert config["model_transaction_policy"] == {"decoupled": True}
    assert "dynamic_batching" not in config
