"""Request parameters that mean something to the engine, whatever door they came through (Triton's names)."""

from __future__ import annotations

from collections.abc import Mapping

from haizen_runtime.protocol.errors import InvalidInput
from haizen_runtime.protocol.messages import InferenceRequest, Scalar, SequencePosition


def apply_parameters(request: InferenceRequest, parameters: Mapping[str, Scalar]) -> None:
    """Set what the parameters priority, timeout and sequence_id, _start, _end say. Raises InvalidInput."""
    priority = parameters.get("priority")
    if priority is not None:
        if type(priority) is not int or priority < 0:
            raise InvalidInput("Parameter priority must be an integer of 0 or more.")
        request.priority = priority
    timeout = parameters.get("timeout")
    if timeout is not None:
        if type(timeout) is not int or timeout < 0:
            raise InvalidInput("Parameter timeout must be an integer of 0 or more, in microseconds.")
        request.queue_timeout = timeout / 1e6 or None
    sequence = parameters.get("sequence_id")
    if sequence is not None and sequence not in (0, ""):
        if not isinstance(sequence, (int, str)):
            raise InvalidInput("Parameter sequence_id must be an integer or a string.")
        request.sequence = SequencePosition(
            sequence, bool(parameters.get("sequence_start", False)), bool(parameters.get("sequence_end", False))
        )
