"""The listening socket, bound before anything slow is imported: a port that is taken is told at once."""

from __future__ import annotations

import socket

from haizen_runtime.protocol.errors import InvalidConfiguration


def bind(host: str, port: int) -> socket.socket:
    """A TCP socket to listen on. Raises InvalidConfiguration when the address is taken or not ours."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named, or asyncio does not set TCP_NODELAY on what this socket accepts.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise InvalidConfiguration(f"Cannot listen on {host}:{port}: {error.strerror or error}.") from error
    listener.setblocking(False)
    return listener
