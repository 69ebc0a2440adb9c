"""Triton's configuration of a model, with and without a batch axis, as JSON and as protobuf."""

from __future__ import annotations

from dataclasses import replace

import pytest
from google.protobuf import json_format

from haizen_runtime.protocol.messages import ModelMetadata, TensorMetadata
from haizen_runtime.protocol.model_config import ModelFacts, model_config
from haizen_runtime.protocol.model_config_proto import DATA_TYPES, model_config_response
from tests.runtime.protobufs import classes

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


@pytest.mark.parametrize(
    "facts",
    [
        pytest.param(FACTS, id="batched"),
        pytest.param(replace(FACTS, batchable=False, decoupled=True), id="without-a-batch-axis"),
        pytest.param(replace(FACTS, max_batch_rows=1), id="one-row"),
        pytest.param(replace(FACTS, priority_levels=0, max_queue_delay_seconds=0.0), id="zeros"),
    ],
)
def test_protobuf_says_the_same(facts: ModelFacts) -> None:
    """The message, read by Google's own classes, is the message that Google makes of the JSON."""
    config = model_config(facts)
    response = classes().ModelConfigResponse
    assert response.FromString(model_config_response(config)) == json_format.ParseDict({"config": config}, response())


def test_data_types() -> None:
    descriptor = classes().ModelInput.DESCRIPTOR.fields_by_name["data_type"].enum_type
    assert {value.name: value.number for value in descriptor.values} == DATA_TYPES
