"""Threads that run batches. Daemons, so that a library that hangs cannot keep the process from ending."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable


class WorkerThreads:
    """A fixed number of threads that run callables in the order given."""

    def __init__(self, count: int, name: str) -> None:
        self._tasks: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._name = name
        self._count = count
        self._started = 0

    def submit(self, task: Callable[[], None]) -> None:
        """Run a task, which must not raise, on a free thread. Threads start when first needed."""
        if self._started < self._count:
            self._started += 1
            threading.Thread(target=self._work, name=f"{self._name}-{self._started}", daemon=True).start()
        self._tasks.put(task)

    def close(self) -> None:
        """Let each thread end after what it has."""
        for _ in range(self._started):
            self._tasks.put(None)

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            task()
