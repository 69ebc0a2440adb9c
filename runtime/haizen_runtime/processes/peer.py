"""Questions and answers between the supervisor and a process: a line of JSON each, over a socketpair."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from haizen_runtime.protocol import errors
from haizen_runtime.protocol.errors import ModelNotReady, RequestError

log = logging.getLogger("haizen_runtime.processes")

MAX_LINE_BYTES: Final = 64 * 1024 * 1024
"""Metrics of a process with very many series."""

Message = dict[str, Any]
Handler = Callable[[Message], Awaitable[Message | None]]


class Peer:
    """One end. Both sides may ask; each question is answered by the handler of its name."""

    def __init__(self, sock: socket.socket, handlers: Mapping[str, Handler]) -> None:
        self._sock = sock
        self._handlers = handlers
        self._writer: asyncio.StreamWriter | None = None
        self._questions: dict[int, asyncio.Future[Message]] = {}
        self._count = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> asyncio.StreamReader:
        """Take over the socket; what `read` wants."""
        reader, self._writer = await asyncio.open_unix_connection(sock=self._sock, limit=MAX_LINE_BYTES)
        return reader

    async def read(self, reader: asyncio.StreamReader) -> None:
        """Serve until the other side is gone."""
        try:
            while line := await reader.readline():
                message = json.loads(line)
                if "re" in message:
                    self._answered(message)
                else:
                    task = asyncio.ensure_future(self._serve(message))
                    self._tasks.add(task)
                    task.add_done_callback(self._tasks.discard)
        except (OSError, ValueError) as error:
            log.debug("a process broke off: %s", error)
        finally:
            self.close()

    def tell(self, op: str, **fields: Any) -> None:
        """Say something that needs no answer."""
        self._write({"op": op, **fields})

    async def ask(self, op: str, **fields: Any) -> Message:
        """Ask, and wait for the answer. Raises the RequestError that the other side raised, ModelNotReady if gone."""
        self._count += 1
        future: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        number = self._count
        self._questions[number] = future
        try:
            self._write({"op": op, "id": number, **fields})
            return await future
        finally:
            self._questions.pop(number, None)

    def close(self) -> None:
        """Let everybody know who waits for an answer that none will come."""
        for future in self._questions.values():
            if not future.done():
                future.set_exception(ModelNotReady("A serving process ended before it had answered; try again."))
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _write(self, message: Message) -> None:
        if self._writer is None or self._writer.is_closing():
            if "id" in message:
                raise ModelNotReady("A serving process is gone and being replaced; try again.")
            return
        self._writer.write(json.dumps(message).encode() + b"\n")

    def _answered(self, message: Message) -> None:
        future = self._questions.get(message["re"])
        if future is None or future.done():
            return
        if "error" in message:
            future.set_exception(as_error(message["error"], message["message"]))
        else:
            future.set_result(message)

    async def _serve(self, message: Message) -> None:
        answer: Message
        try:
            answer = await self._handlers[message["op"]](message) or {}
        except RequestError as error:
            answer = {"error": type(error).__name__, "message": error.message}
        except Exception:
            log.exception("%s failed", message["op"])
            answer = {"error": "RequestError", "message": "A serving process failed on this; its log says more."}
        if "id" in message:
            self._write({"re": message["id"], **answer})


def as_error(kind: str, message: str) -> RequestError:
    """An error of another process, by the name of its class."""
    found = getattr(errors, kind, None)
    known = found if isinstance(found, type) and issubclass(found, RequestError) else RequestError
    error = known.__new__(known)  # some classes make their message of other arguments
    error.args = (message,)
    return error


def as_start_error(kind: str, message: str) -> errors.StartError:
    """Why another process could not start, by the name of the error's class."""
    found = getattr(errors, kind, None)
    known = found if isinstance(found, type) and issubclass(found, errors.StartError) else errors.ModelLoadFailed
    return known(message)
