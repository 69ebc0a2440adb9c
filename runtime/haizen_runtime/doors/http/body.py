"""Reading a request's body: a limit on its size, a limit on its time, and gzip or deflate with a limit of their own."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from haizen_runtime.protocol.errors import ClientGone, InvalidInput, PayloadTooLarge, RequestTimeout, UnsupportedMedia

Receive = Callable[[], Awaitable[Mapping[str, Any]]]

_WINDOW_BITS = {b"gzip": 31, b"x-gzip": 31, b"deflate": 15}


async def read_body(
    receive: Receive, headers: Mapping[bytes, bytes], limit_bytes: int, timeout_seconds: float
) -> bytes:
    """The whole body, decompressed. Raises PayloadTooLarge, RequestTimeout, UnsupportedMedia or ClientGone."""
    declared = headers.get(b"content-length")
    if declared is not None and int(declared) > limit_bytes:
        raise PayloadTooLarge(f"The request body has {int(declared)} bytes; at most {limit_bytes} are accepted.")
    try:
        async with asyncio.timeout(timeout_seconds):
            body = await _collect(receive, limit_bytes)
    except TimeoutError:
        raise RequestTimeout(f"The request body did not arrive within {timeout_seconds:g} seconds.") from None
    encoding = headers.get(b"content-encoding")
    if encoding is None or encoding == b"identity":
        return body
    return decompress(body, encoding, limit_bytes)


async def _collect(receive: Receive, limit_bytes: int) -> bytes:
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientGone("The client closed the connection before its request was complete.")
    first: bytes = message.get("body", b"")
    if not message.get("more_body", False):
        if len(first) > limit_bytes:
            raise PayloadTooLarge(f"The request body is larger than {limit_bytes} bytes.")
        return first
    body = bytearray(first)
    while True:
        if len(body) > limit_bytes:
            raise PayloadTooLarge(f"The request body is larger than {limit_bytes} bytes.")
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone("The client closed the connection before its request was complete.")
        body += message.get("body", b"")
        if not message.get("more_body", False):
            if len(body) > limit_bytes:
                raise PayloadTooLarge(f"The request body is larger than {limit_bytes} bytes.")
            return bytes(body)


def decompress(body: bytes, encoding: bytes, limit_bytes: int) -> bytes:
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
