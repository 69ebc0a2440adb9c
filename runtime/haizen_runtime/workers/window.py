"""How much of a stream may be on its way to a reader who has not taken it yet. Pure."""

from __future__ import annotations

from collections import deque

from haizen_runtime.workers.limits import WorkerLimits


class Window:
    """Sizes of the answers that were sent and not yet taken."""

    def __init__(self, limits: WorkerLimits) -> None:
        self._max_answers, self._max_bytes = limits.window_answers, limits.window_bytes
        self._sizes: deque[int] = deque()
        self._bytes = 0

    def sent(self, size: int) -> None:
        """An answer of so many bytes is on its way. Raises ValueError when the window was not open."""
        if not self.is_open:
            raise ValueError("more answers than may be on their way")
        self._sizes.append(size)
        self._bytes += size

    def taken(self) -> None:
        """The reader has taken the oldest. Raises ValueError when there is none."""
        if not self._sizes:
            raise ValueError("an answer was taken that was not sent")
        self._bytes -= self._sizes.popleft()

    @property
    def is_open(self) -> bool:
        """Whether another answer may be sent."""
        return len(self._sizes) < self._max_answers and self._bytes < self._max_bytes
