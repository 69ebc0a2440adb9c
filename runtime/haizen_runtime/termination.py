"""The last words of a process that cannot go on: one line for people, one for the operator."""

from __future__ import annotations

import sys
from typing import Final

from haizen_runtime.protocol.errors import StartError

DEFAULT_LOG: Final = "/dev/termination-log"
"""Where Kubernetes looks, unless the container says otherwise."""
MAX_BYTES: Final = 4096
"""What Kubernetes keeps of it."""


def report_fatal(error: StartError, termination_log: str) -> int:
    """Say on stderr and in the file `termination_log` why the process ends; returns the exit code.

    The file gets one JSON line with reason, message and exitCode, which the operator reads from the pod's status.
    """
    from pathlib import Path

    message = " ".join(error.message.split())
    sys.stderr.write(f"haizen-runtime: {error.reason}: {message}\n")
    path = Path(termination_log)
    try:
        if path.exists() or path.parent != Path("/dev"):  # never make a file in /dev outside a pod
            path.write_text(termination_line(error.reason, message, error.exit_code), encoding="utf-8")
    except OSError as failure:
        sys.stderr.write(f"haizen-runtime: {path} cannot be written: {failure.strerror or failure}\n")
    return error.exit_code


def termination_line(reason: str, message: str, exit_code: int) -> str:
    """The JSON line, its message shortened so that Kubernetes keeps it whole."""
    import json

    while True:
        words = {"reason": reason, "message": message, "exitCode": exit_code}
        line = json.dumps(words, ensure_ascii=False) + "\n"
        excess = len(line.encode("utf-8", "replace")) - MAX_BYTES
        if excess <= 0:
            return line.encode("utf-8", "replace").decode()
        message = message[: -max(1, excess // 4 + 1)]
