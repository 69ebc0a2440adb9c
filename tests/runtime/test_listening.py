"""The listening socket before there is a server."""

from __future__ import annotations

import socket

import pytest

from haizen_runtime.listening import bind
from haizen_runtime.protocol.errors import InvalidConfiguration


def test_who_comes_before_the_server_waits() -> None:
    with bind("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname(), timeout=30) as early:
        early.sendall(b"early")
        listener.setblocking(True)
        connection, _ = listener.accept()
        with connection:
            assert connection.recv(5) == b"early"


@pytest.mark.parametrize("listening", [True, False])
def test_a_port_that_is_taken_is_told(listening: bool) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        if listening:
            other.listen()
        with pytest.raises(InvalidConfiguration, match=r"Cannot listen on 127\.0\.0\.1:"):
            bind("127.0.0.1", other.getsockname()[1])
