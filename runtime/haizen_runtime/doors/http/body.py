"""Reading a request's body: a limit on its size, a limit on its time, and gzip or deflate with a limit of their own."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, overload

from haizen_runtime.doors.http.incoming import incoming_of
from haizen_runtime.protocol.errors import ClientGone, InvalidInput, PayloadTooLarge, RequestTimeout, UnsupportedMedia

Receive = Callable[[], Awaitable[Mapping[str, Any]]]

ALIGNMENT: Final = 16
"""What CPython aligns the bytes of a `bytes` object to, and more than any tensor's element needs."""
_WINDOW_BITS = {b"gzip": 31, b"x-gzip": 31, b"deflate": 15}


class BodyReader:
    """Reads bodies. One clock for all of them: a timer per request would cost more than reading a small body."""

    def __init__(
        self,
        limit_bytes: int,
        timeout_seconds: float,
        loop: asyncio.AbstractEventLoop,
        decompressed_limit_bytes: int = 0,
    ) -> None:
        """A body may have `limit_bytes` as sent, and `decompressed_limit_bytes` decompressed (0: as many)."""
        self._loop = loop
        self.limit_bytes = limit_bytes
        self.decompressed_limit_bytes = decompressed_limit_bytes or limit_bytes
        self.timeout_seconds = timeout_seconds
        self._reading: dict[asyncio.Task[Any], float] = {}
        self._late: set[asyncio.Task[Any]] = set()
        self._timer: asyncio.TimerHandle | None = None

    def read_now(self, scope: Mapping[str, Any], headers: Mapping[bytes, bytes]) -> bytes | None:
        """The whole body, if it has come already, in one piece and not compressed: the usual case, with no clock.

        None sends the caller to `read`. Raises PayloadTooLarge.
        """
        incoming = incoming_of(scope)
        if incoming is None or b"content-encoding" in headers:
            return None
        body = incoming.whole_body()
        if body is not None and len(body) > self.limit_bytes:
            raise length_too_large(len(body), self.limit_bytes)
        return body

    @overload
    async def read(self, receive: Receive, headers: Mapping[bytes, bytes]) -> bytes: ...

    @overload
    async def read(
        self, receive: Receive, headers: Mapping[bytes, bytes], tensors_at: int | Callable[[bytes], int]
    ) -> bytes | memoryview: ...

    async def read(
        self, receive: Receive, headers: Mapping[bytes, bytes], tensors_at: int | Callable[[bytes], int] = 0
    ) -> bytes | memoryview:
        """The whole body, decompressed.

        What follows `tensors_at` bytes, or as many as that says of the body's first piece, is aligned in memory if the
        body comes in several pieces, which have to be put together anyway: numpy then takes the tensors where they lie.

        Raises PayloadTooLarge, RequestTimeout, UnsupportedMedia, InvalidInput or ClientGone.
        """
        declared = headers.get(b"content-length")
        if declared is not None and not (declared.isdigit() and len(declared) < 20):
            raise InvalidInput("The content-length header is not a number.")
        if declared is not None and int(declared) > self.limit_bytes:
            raise length_too_large(int(declared), self.limit_bytes)
        loop = self._loop  # asking for the running one costs a system call (getpid) before Python 3.12
        task = asyncio.current_task(loop)
        assert task is not None
        self._reading[task] = loop.time()
        if self._timer is None:
            self._timer = loop.call_later(self.timeout_seconds / 4, self._tick, loop)
        try:
            body = await self._collect(receive, tensors_at)
        except asyncio.CancelledError:
            if task not in self._late:
                raise
            self._late.discard(task)
            task.uncancel()
            raise RequestTimeout(f"The request body did not arrive within {self.timeout_seconds:g} seconds.") from None
        finally:
            self._reading.pop(task, None)
        encoding = headers.get(b"content-encoding")
        if encoding is None or encoding == b"identity":
            return body
        return decompress(body, encoding, self.decompressed_limit_bytes)

    async def _collect(self, receive: Receive, tensors_at: int | Callable[[bytes], int]) -> bytes | memoryview:
        message = await receive()
        body: bytes = message.get("body", b"")
        if len(body) <= self.limit_bytes and message["type"] != "http.disconnect" and not message.get("more_body"):
            return body
        padding = -(tensors_at if isinstance(tensors_at, int) else tensors_at(body)) % ALIGNMENT
        chunks, length = [bytes(padding), body], len(body)
        while message["type"] != "http.disconnect":
            if length > self.limit_bytes:
                raise PayloadTooLarge(f"The request body is larger than {self.limit_bytes} bytes.")
            if not message.get("more_body", False):
                whole = b"".join(chunks)
                return memoryview(whole)[padding:] if padding else whole
            message = await receive()
            body = message.get("body", b"")
            chunks.append(body)
            length += len(body)
        raise ClientGone("The client closed the connection before its request was complete.")

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        """End the readings that take too long; goes on while any reading is under way."""
        oldest = loop.time() - self.timeout_seconds
        for task, started in list(self._reading.items()):
            if started <= oldest and task not in self._late:
                self._late.add(task)
                task.cancel()
        self._timer = loop.call_later(self.timeout_seconds / 4, self._tick, loop) if self._reading else None


def length_too_large(length: int, limit_bytes: int) -> PayloadTooLarge:
    """The error for a length above the limit."""
    return PayloadTooLarge(f"The request body has {length} bytes; at most {limit_bytes} are accepted.")


def decompress(body: bytes | memoryview, encoding: bytes, limit_bytes: int) -> bytes:
    """Undo a content encoding; a body that would grow past the limit is refused before it does."""
    bits = _WINDOW_BITS.get(encoding.strip().lower())
    if bits is None:
        raise UnsupportedMedia(
            f"The content encoding {encoding[:40].decode('latin-1')} is not supported; use gzip, deflate or none."
        )
    decompressor = zlib.decompressobj(bits)
    try:
        plain = decompressor.decompress(body, limit_bytes + 1)
    except zlib.error as error:
        raise InvalidInput(f"The request body is not valid {encoding.decode('latin-1')}: {error}.") from None
    if len(plain) > limit_bytes:
        raise PayloadTooLarge(f"The request body is larger than {limit_bytes} bytes when decompressed.")
    if not decompressor.eof:
        raise InvalidInput(f"The request body is not valid {encoding.decode('latin-1')}: it ends too early.")
    return plain
