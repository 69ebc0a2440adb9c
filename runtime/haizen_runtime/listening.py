"""The listening socket, open before anything slow is imported.

A port that is taken is told at once, and a client that comes while the server is still being imported waits in the
kernel's queue instead of being refused.
"""

from __future__ import annotations

import socket
from typing import Final

from haizen_runtime.protocol.errors import InvalidConfiguration

BACKLOG: Final = 2048
"""Connections that may wait to be accepted; the kernel's own limit (net.core.somaxconn) may be lower."""


def bind(host: str, port: int) -> socket.socket:
    """A TCP socket that listens. Raises InvalidConfiguration when the address is taken or not ours."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named, or asyncio does not set TCP_NODELAY on what this socket accepts.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise InvalidConfiguration(f"Cannot listen on {host}:{port}: {error.strerror or error}.") from error
    listener.setblocking(False)
    return listener
