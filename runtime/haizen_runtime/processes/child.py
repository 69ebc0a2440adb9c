"""One of several serving processes.

Started by the supervisor only: `python -P -m haizen_runtime.processes.child CONTROL CONNECTIONS SUPERVISOR_PID`.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import socket
import sys

from haizen_runtime.main import configure_logging, leave
from haizen_runtime.processes.seat import LENGTH
from haizen_runtime.protocol.errors import StartError
from haizen_runtime.settings import Settings
from haizen_runtime.workers.lifeline import die_with_parent


def main(arguments: list[str]) -> int:
    """Serve until a signal; returns the exit code. Why it cannot start is told to the supervisor, and only there."""
    control, connections = (socket.socket(fileno=int(number)) for number in arguments[:2])
    for sock in (control, connections):
        sock.set_inheritable(False)
    die_with_parent(int(arguments[2]))
    (length,) = LENGTH.unpack(_exactly(control, LENGTH.size))
    settings = Settings(**json.loads(_exactly(control, length)))
    configure_logging(settings)
    last_words = control.dup()
    try:
        _serve(settings, control, connections)
    except StartError as error:
        line = {"op": "failed", "kind": type(error).__name__, "message": error.message}
        with contextlib.suppress(OSError):
            last_words.setblocking(True)
            last_words.sendall(json.dumps(line).encode() + b"\n")
        return leave(error.exit_code)
    return leave(0)


def _serve(settings: Settings, control: socket.socket, connections: socket.socket) -> None:
    gc.disable()  # as in `main`; back once the model is loaded
    from haizen_runtime.processes.siblings import Siblings
    from haizen_runtime.startup import ModelLoader

    loader = ModelLoader(settings, os.environ)  # downloads to one place are done once: who comes second waits
    loader.begin()
    from haizen_runtime.serving import serve

    serve(settings, [loader.model()], None, Siblings(control, connections))


def _exactly(sock: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length:
        piece = sock.recv(length - len(data))
        if not piece:
            sys.exit(1)  # the supervisor is gone
        data += piece
    return data


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
