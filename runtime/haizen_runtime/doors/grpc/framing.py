"""gRPC's messages inside an HTTP/2 body: five bytes (compressed or not, length) before each. Pure."""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Sequence
from typing import Final

from haizen_runtime.doors.http.body import decompress
from haizen_runtime.protocol.errors import MalformedMessage, PayloadTooLarge, UnsupportedMedia
from haizen_runtime.protocol.wire import first_value

Buffer = bytes | memoryview

PREFIX: Final = struct.Struct(">BI")
PREFIX_BYTES: Final = PREFIX.size
ENCODINGS: Final = (b"identity", b"deflate", b"gzip")
"""What messages may be compressed with, by gRPC's names."""

RAW_INPUT_CONTENTS: Final = 7
"""The field of ModelInferRequest."""

_COMPRESSION_LEVEL: Final = 1
"""Tensors compress little; more effort would only cost time."""
_WORTHWHILE_BYTES: Final = 1024
"""Smaller answers are sent as they are."""


def checked_encoding(encoding: bytes | None) -> bytes | None:
    """The grpc-encoding of a request, None for none. Raises UnsupportedMedia for one that is not known."""
    if encoding is None or encoding == b"identity":
        return None
    if encoding not in ENCODINGS:
        shown = encoding[:40].decode("latin-1")
        raise UnsupportedMedia(f"The grpc-encoding {shown} is not supported; use gzip, deflate or identity.")
    return encoding


def raw_tensors_at(body: bytes) -> int:
    """Where the raw tensors of a ModelInferRequest begin, told from the first of its body; 0 if that does not tell."""
    return first_value(body, PREFIX_BYTES, RAW_INPUT_CONTENTS) if body[:1] == b"\0" else 0


def only_message(
    body: bytes | memoryview, encoding: bytes | None, limit_bytes: int, decompressed_limit_bytes: int
) -> tuple[bytes, int, int]:
    """The one message of a unary request: a buffer and the span of the message in it. A view is of a buffer's end.

    Raises MalformedMessage, or PayloadTooLarge when it is, or would be decompressed, larger than its limit.
    """
    data: bytes = body if isinstance(body, bytes) else body.obj  # type: ignore[assignment]  # a view of bytes
    start = len(data) - len(body)
    if len(body) < PREFIX_BYTES:
        raise MalformedMessage("The gRPC request has no message." if not body else _CUT_SHORT)
    flag, length = PREFIX.unpack_from(data, start)
    start += PREFIX_BYTES
    end = start + length
    if length > limit_bytes:
        raise _too_large(length, limit_bytes)
    if end > len(data):
        raise MalformedMessage(_CUT_SHORT)
    if end < len(data):
        raise MalformedMessage("The gRPC request has more than one message; this method takes one.")
    if flag == 0:
        return data, start, end
    message = _decompressed(flag, data[start:], encoding, decompressed_limit_bytes)
    return message, 0, len(message)


class Deframer:
    """Messages out of a stream's body as it arrives."""

    def __init__(self, encoding: bytes | None, limit_bytes: int, decompressed_limit_bytes: int) -> None:
        self._encoding = encoding
        self._limit_bytes = limit_bytes
        self._decompressed_limit_bytes = decompressed_limit_bytes
        self._buffer = bytearray()

    def feed(self, chunk: bytes) -> list[bytes]:
        """The messages that are complete now. Raises MalformedMessage or PayloadTooLarge."""
        buffer = self._buffer
        buffer += chunk
        messages = []
        while len(buffer) >= PREFIX_BYTES:
            flag, length = PREFIX.unpack_from(buffer)
            if length > self._limit_bytes:
                raise _too_large(length, self._limit_bytes)
            end = PREFIX_BYTES + length
            if len(buffer) < end:
                break
            message = bytes(buffer[PREFIX_BYTES:end])
            del buffer[:end]
            messages.append(
                _decompressed(flag, message, self._encoding, self._decompressed_limit_bytes) if flag else message
            )
        return messages

    def finish(self) -> None:
        """The body is at its end. Raises MalformedMessage when a message is not."""
        if self._buffer:
            raise MalformedMessage(_CUT_SHORT)


def frame(pieces: Sequence[Buffer], encoding: bytes | None = None) -> bytes:
    """A message, given in pieces, with its prefix; compressed when an encoding is given and it is worth it."""
    length = sum(map(len, pieces))
    if encoding is None or length < _WORTHWHILE_BYTES:
        return b"".join((PREFIX.pack(0, length), *pieces))
    message = b"".join(pieces)
    if encoding == b"gzip":
        packed = gzip.compress(message, _COMPRESSION_LEVEL, mtime=0)
    else:
        packed = zlib.compress(message, _COMPRESSION_LEVEL)
    return PREFIX.pack(1, len(packed)) + packed


def answer_encoding(request_encoding: bytes | None, accepted: bytes | None) -> bytes | None:
    """What to compress the answer with: what the request was compressed with, if the client reads it as well."""
    if request_encoding is None or accepted is None:
        return None
    return request_encoding if request_encoding in [name.strip() for name in accepted.split(b",")] else None


_CUT_SHORT: Final = "The gRPC request ends inside a message."


def _too_large(length: int, limit_bytes: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"The request message has {length} bytes; at most {limit_bytes} are accepted.")


def _decompressed(flag: int, message: bytes, encoding: bytes | None, limit_bytes: int) -> bytes:
    if flag != 1:
        raise MalformedMessage(f"The gRPC message has the compression flag {flag}; it must be 0 or 1.")
    if encoding is None:
        raise MalformedMessage("The gRPC message says that it is compressed, the request has no grpc-encoding.")
    return decompress(message, encoding, limit_bytes)
