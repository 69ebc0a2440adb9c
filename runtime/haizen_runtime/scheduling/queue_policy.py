"""How long a request may wait and who goes first: Triton's queue policy. Pure: time is an argument."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class QueuePolicy:
    """The rules of one model's queue; how many may wait is the batch policy's `queue_limit`."""

    timeout_seconds: float = 0.0
    """How long a request may wait for its turn; 0 for no limit."""
    priority_levels: int = 0
    """Priorities go from 1, which runs first, to this; 0: any number is taken as it is."""
    default_priority_level: int = 1
    """The level of requests that name none, or one that does not exist."""

    def level(self, priority: int) -> int:
        """The priority that a request runs with; lower runs first."""
        if not self.priority_levels:
            return priority
        return priority if 1 <= priority <= self.priority_levels else self.default_priority_level

    def start_by(self, now: float, timeout_seconds: float | None) -> float | None:
        """When a request that comes `now` must have its turn; its own timeout may only be shorter. None: never."""
        seconds = self.timeout_seconds or None
        if timeout_seconds and (seconds is None or timeout_seconds < seconds):
            seconds = timeout_seconds
        return None if seconds is None else now + seconds


NO_RULES: Final = QueuePolicy()
"""Every request waits as long as it likes, and its priority is taken as it is."""
