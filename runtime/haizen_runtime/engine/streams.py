"""Answers of a model that gives any number of them to one request: made on a thread, read on the event loop."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol

from haizen_runtime.scheduling.cancellation import Cancellation

if TYPE_CHECKING:
    import numpy as np

    from haizen_runtime.protocol.messages import InferenceResponse

    Outputs = Mapping[str, np.ndarray[Any, Any]]

UNREAD_ANSWERS: Final = 2
"""So many answers wait for their reader; with more, the thread that makes them waits."""


class Answers(Protocol):
    """Where a backend puts the answers to one request. Used on the thread that runs the backend."""

    def put(self, outputs: Outputs) -> bool:
        """Hand an answer on; waits while its reader is slow. False once nobody reads any more."""

    def on_stop(self, stop: Callable[[], None]) -> None:
        """Have `stop` called, on any thread, as soon as nobody reads any more; it must not block."""


class AnswerStream:
    """The answers to one request, to be read with `async for` or stopped. Reading raises the request's RequestError."""

    def __init__(self, loop: asyncio.AbstractEventLoop, respond: Callable[[Outputs], InferenceResponse]) -> None:
        """`respond` makes an answer of outputs, on the backend's thread."""
        self._loop = loop
        self._respond = respond
        self._unread: deque[InferenceResponse] = deque()
        self._room = threading.Semaphore(UNREAD_ANSWERS)
        self._stopping = Cancellation()
        self._over = False
        self._error: BaseException | None = None
        self._waiter: asyncio.Future[None] | None = None

    # On the backend's thread

    def put(self, outputs: Outputs) -> bool:
        """See Answers."""
        self._room.acquire()
        if self._stopping.cancelled:
            self._room.release()  # nothing waits any more, however often it is tried
            return False
        response = self._respond(outputs)
        try:
            self._loop.call_soon_threadsafe(self._arrived, response)
        except RuntimeError:  # the loop is closed: the process is ending
            return False
        return True

    def on_stop(self, stop: Callable[[], None]) -> None:
        """See Answers."""
        self._stopping.on_cancel(stop)

    # On the event loop

    def follow(self, end: asyncio.Future[Any]) -> None:
        """End with this future: by its error, or after its own answer where it has one."""
        end.add_done_callback(self._ended)

    def is_stopped(self) -> bool:
        """Whether nobody reads any more."""
        return self._stopping.cancelled

    def stop(self) -> None:
        """Read no more: the model is told to end, and reading ends now."""
        if self._stopping.cancelled:
            return
        self._stopping.cancel()
        self._room.release()
        self._wake()

    def __aiter__(self) -> AnswerStream:
        return self

    async def __anext__(self) -> InferenceResponse:
        while not self._unread:
            if self._error is not None:
                raise self._error
            if self._over or self._stopping.cancelled:
                raise StopAsyncIteration
            self._waiter = self._loop.create_future()
            await self._waiter
        self._room.release()
        return self._unread.popleft()

    def _arrived(self, response: InferenceResponse) -> None:
        self._unread.append(response)
        self._wake()

    def _ended(self, end: asyncio.Future[InferenceResponse | None]) -> None:
        self._over = True
        self._error = asyncio.CancelledError() if end.cancelled() else end.exception()
        if self._error is not None:
            self.stop()  # the deadline may have passed while the model still works
        elif (only := end.result()) is not None:
            self._unread.append(only)
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
