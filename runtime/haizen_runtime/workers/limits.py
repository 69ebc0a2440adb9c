"""What a worker process and its server keep to, both the same. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from haizen_runtime.protocol.limits import DEFAULT_LIMITS


@dataclass(frozen=True, slots=True)
class WorkerLimits:
    """Told to each worker with what it shall load."""

    json_depth: int = DEFAULT_LIMITS.json_depth
    """Levels of objects and lists in a body that goes to model code as it is."""
    window_answers: int = 16
    """Answers of one streaming call that may be on their way to a reader who has not taken them yet."""
    window_bytes: int = 1024 * 1024
    """With so many bytes of them on their way nothing follows; one answer alone may be larger."""


DEFAULT_WORKER_LIMITS: Final = WorkerLimits()
