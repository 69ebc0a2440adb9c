"""Messages over a unix socket: msgpack behind a length, at most one descriptor of shared memory with each."""

from __future__ import annotations

import os
import socket
import struct
from typing import Any, Final

import msgpack

MAX_MESSAGE_BYTES: Final = 4 * 1024 * 1024
"""Tensors of any size travel beside a message; what is in it is names, shapes and small tensors."""
_HEAD: Final = struct.Struct("<II")
"""Length of the message, and how many descriptors come with it."""
_CLOSE_ON_EXEC: Final = getattr(socket, "MSG_CMSG_CLOEXEC", 0)


class BrokenChannel(Exception):
    """What came is not a message."""


class TooLong(Exception):
    """A message that the other side would not take."""


def send(sock: socket.socket, message: dict[str, Any], descriptor: int | None = None) -> None:
    """Send a message; `descriptor` is closed.

    Raises OSError when nobody reads any more, TooLong when the other side would not take it.
    """
    try:
        body = msgpack.packb(message)
        if len(body) > MAX_MESSAGE_BYTES:
            raise TooLong(
                f"Names and shapes of the tensors take {len(body)} bytes, at most {MAX_MESSAGE_BYTES} can be."
            )
        head = _HEAD.pack(len(body), 0 if descriptor is None else 1)
        if descriptor is None:
            sock.sendall(head + body)
            return
        data = head + body
        sent = socket.send_fds(sock, [data], [descriptor])
        sock.sendall(data[sent:])
    finally:
        if descriptor is not None:
            os.close(descriptor)


def receive(sock: socket.socket) -> tuple[dict[str, Any], int | None] | None:
    """The next message and its descriptor, to be closed by the caller; None at the end.

    Raises BrokenChannel when the bytes are no message, OSError when the other side broke off.
    """
    head, descriptors, _, _ = socket.recv_fds(sock, _HEAD.size, 1, _CLOSE_ON_EXEC)
    descriptor = descriptors[0] if descriptors else None
    try:
        if not head:
            return None
        head += _exactly(sock, _HEAD.size - len(head))
        length, count = _HEAD.unpack(head)
        if length > MAX_MESSAGE_BYTES or count != len(descriptors):
            raise BrokenChannel(f"a message of {length} bytes with {count} descriptors cannot be")
        try:
            message = msgpack.unpackb(_exactly(sock, length))
        except (ValueError, msgpack.UnpackException) as error:
            raise BrokenChannel(f"a message that is no msgpack: {error}") from error
        if not isinstance(message, dict):
            raise BrokenChannel("a message that is no map")
    except BaseException:
        if descriptor is not None:
            os.close(descriptor)
        raise
    return message, descriptor


def _exactly(sock: socket.socket, length: int) -> bytes:
    pieces = bytearray()
    while len(pieces) < length:
        piece = sock.recv(min(length - len(pieces), 1 << 20))
        if not piece:
            raise BrokenChannel("the end came in the middle of a message")
        pieces += piece
    return bytes(pieces)
