"""When a worker process that ended is started again. Pure."""

from __future__ import annotations

from typing import Final

FIRST_SECONDS: Final = 0.5
CAP_SECONDS: Final = 30.0
CRASH_LOOP: Final = 3
"""So many ends in a row without an answer in between are a crash loop."""


class RestartPolicy:
    """Counts ends since the last answer: the first is replaced at once, each further one after twice the wait."""

    def __init__(self) -> None:
        self.ends = 0
        """Ends in a row, without an answer in between."""
        self.restarts = 0
        """Ends in all."""

    def answered(self) -> None:
        """The worker has answered a request, whatever the answer was."""
        self.ends = 0

    def ended(self) -> float:
        """The worker has ended; returns the seconds to wait before the next is started."""
        self.ends += 1
        self.restarts += 1
        if self.ends == 1:
            return 0.0
        return min(CAP_SECONDS, FIRST_SECONDS * 2.0 ** min(self.ends - 2, 30))

    @property
    def looping(self) -> bool:
        """Whether this is a crash loop."""
        return self.ends >= CRASH_LOOP
