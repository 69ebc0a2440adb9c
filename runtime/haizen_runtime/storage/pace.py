"""When a connection is too slow to be kept."""


class Pace:
    """Judges a stream by windows: too slow when a whole window brought less than the minimum rate.

    Time is an argument (seconds of a monotonic clock).
    """

    def __init__(self, min_bytes_per_second: int, window_seconds: float, now: float) -> None:
        self._minimum = min_bytes_per_second * window_seconds
        self._window = window_seconds
        self._since = now
        self._count = 0

    def too_slow(self, count: int, now: float) -> bool:
        """Add ``count`` bytes that arrived by ``now``; say whether the window that just ended was too slow."""
        self._count += count
        if now - self._since < self._window:
            return False
        slow = self._count < self._minimum
        self._since, self._count = now, 0
        return slow
