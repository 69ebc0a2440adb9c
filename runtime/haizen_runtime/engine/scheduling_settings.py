"""What may be said of how a model's requests are scheduled."""

from __future__ import annotations

from dataclasses import dataclass

from haizen_runtime.scheduling.queue_policy import NO_RULES, QueuePolicy


@dataclass(frozen=True, slots=True)
class SchedulingSettings:
    """How one model's requests are scheduled."""

    max_batch_rows: int = 128
    """The most rows in one batch; 1 turns batching off."""
    max_batch_delay_seconds: float = 0.0
    """How long a request may wait for company."""
    queue_limit: int = 2048
    """The most requests that may wait."""
    instances: int = 0
    """Batches that may run at once on threads; 0 means one per CPU for libraries that allow it."""
    place: str = "auto"
    """Where batches run: auto, loop or thread."""
    queue: QueuePolicy = NO_RULES
    """How long a request may wait and who goes first."""
