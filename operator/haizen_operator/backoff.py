"""Exponential backoff with jitter, as a pure policy: how long to wait before try n."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Backoff:
    """Delays that double from `base_seconds` up to `max_seconds`."""

    base_seconds: float = 0.5
    max_seconds: float = 60.0
    jitter: float = 0.5
    """The part of a delay that is random, 0..1: 0.5 gives between half the delay and all of it."""

    def delay(self, failures: int, fraction: float) -> float:
        """Seconds to wait after `failures` failures in a row (1 = the first); `fraction` is a random number 0..1."""
        # The exponent is bounded, so that a key that failed a thousand times does not overflow.
        full = min(self.max_seconds, self.base_seconds * 2.0 ** min(max(failures - 1, 0), 32))
        return full * (1.0 - self.jitter * fraction)
