"""Progress lines: what is being done, and how long each step took."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


class Progress:
    """Prints one line as a step ends and says while a long one goes on; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._started = time.monotonic()

    def say(self, text: str) -> None:
        """Print one line, stamped with the seconds since the start."""
        with self._lock:
            print(f"[{time.monotonic() - self._started:6.1f} s] {text}", file=sys.stderr, flush=True)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Announce a step, repeat it every 20 seconds while it lasts, and report its duration."""
        begun = time.monotonic()
        ended = threading.Event()

        def remind() -> None:
            while not ended.wait(20):
                self.say(f"  … {name} ({time.monotonic() - begun:.0f} s so far)")

        self.say(f"{name} …")
        threading.Thread(target=remind, daemon=True).start()
        try:
            yield
        except BaseException as error:
            self.say(f"✗ {name}: {type(error).__name__} after {time.monotonic() - begun:.1f} s")
            raise
        finally:
            ended.set()
        self.say(f"✓ {name} ({time.monotonic() - begun:.1f} s)")
