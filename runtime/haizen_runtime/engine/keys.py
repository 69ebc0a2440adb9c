"""What decides which requests may share a batch."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from haizen_runtime.protocol.messages import InferenceRequest


def batch_key(request: InferenceRequest) -> Hashable:
    """What two requests must have in common to share a batch: names, datatypes, row shapes and wanted outputs."""
    inputs = request.inputs
    wanted = tuple(output.name for output in request.outputs) if request.outputs else None
    if len(inputs) == 1:
        tensor = inputs[0]
        return (tensor.name, tensor.datatype, tensor.shape[1:], wanted)
    return (tuple((tensor.name, tensor.datatype, tensor.shape[1:]) for tensor in inputs), wanted)
