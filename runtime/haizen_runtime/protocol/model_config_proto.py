"""Triton's model configuration as a protobuf message. Pure, and without numpy.

Field numbers: `open_inference.proto` beside this file.
"""

from __future__ import annotations

from typing import Any, Final

from haizen_runtime.protocol.wire import bytes_field, number_field, packed_field, text_field

DATA_TYPES: Final = {
    f"TYPE_{name}": number
    for number, name in enumerate(
        ("INVALID", "BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64",
         "FP16", "FP32", "FP64", "STRING", "BF16")
    )
}  # fmt: skip
"""Triton's DataType."""


def model_config_response(config: dict[str, Any]) -> bytes:
    """A ModelConfigResponse of what `model_config` made."""
    return bytes_field(1, b"".join(_config(config)))


def _config(config: dict[str, Any]) -> list[bytes]:
    parts = [
        text_field(1, config["name"]),
        text_field(2, config["platform"]),
        number_field(4, config["max_batch_size"]),
        *(bytes_field(5, _tensor(tensor, dims=4)) for tensor in config["input"]),
        *(bytes_field(6, _tensor(tensor, dims=3)) for tensor in config["output"]),
        *(bytes_field(7, number_field(2, group["count"])) for group in config["instance_group"]),
    ]
    if "dynamic_batching" in config:
        parts.append(bytes_field(11, _dynamic_batching(config["dynamic_batching"])))
    parts.append(bytes_field(19, number_field(1, config["model_transaction_policy"]["decoupled"])))
    return parts


def _tensor(tensor: dict[str, Any], dims: int) -> bytes:
    """A ModelInput or ModelOutput: they differ in the number of `dims`."""
    return (
        text_field(1, tensor["name"])
        + number_field(2, DATA_TYPES[tensor["data_type"]])
        + packed_field(dims, tensor["dims"])
    )


def _dynamic_batching(batching: dict[str, Any]) -> bytes:
    queue = batching["default_queue_policy"]  # its timeout_action is REJECT, which is 0
    return b"".join((
        number_field(2, batching["max_queue_delay_microseconds"]),
        number_field(4, batching["priority_levels"]),
        number_field(5, batching["default_priority_level"]),
        bytes_field(6, b"".join((
            number_field(2, queue["default_timeout_microseconds"]),
            number_field(3, queue["allow_timeout_override"]),
            number_field(4, queue["max_queue_size"]),
        ))),
    ))  # fmt: skip
