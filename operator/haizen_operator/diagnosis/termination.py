"""What a process said about its own end: the termination message."""

from __future__ import annotations

import json
from dataclasses import dataclass

from haizen_operator.diagnosis.redact import redact
from haizen_operator.reasons import Reason

_OURS = {
    "InvalidConfiguration": Reason.INVALID_CONFIGURATION,
    "ModelLoadFailed": Reason.MODEL_LOAD_FAILED,
    "ModelDownloadFailed": Reason.MODEL_DOWNLOAD_FAILED,
    "ChecksumMismatch": Reason.CHECKSUM_MISMATCH,
    "UntrustedFormat": Reason.UNTRUSTED_FORMAT,
    "BackendMissing": Reason.BACKEND_MISSING,
}

_SIGNALS = {
    4: "SIGILL: the binary does not fit this processor",
    6: "SIGABRT",
    7: "SIGBUS",
    8: "SIGFPE",
    9: "SIGKILL: killed by the node, for memory or by a failing liveness probe",
    11: "SIGSEGV: a crash in native code",
    15: "SIGTERM",
}


@dataclass(frozen=True, slots=True)
class Confession:
    """The haizen runtime's own account of a fatal error."""

    reason: Reason
    message: str
    exit_code: int | None


def confession(text: str) -> Confession | None:
    """Read the one JSON line ``{"reason", "message", "exitCode"}`` that the haizen runtime leaves; None without one.

    The line may stand among others: with terminationMessagePolicy FallbackToLogsOnError the text is the log's tail,
    and Knative puts words before it.
    """
    for line in reversed(text.splitlines()):
        start = line.find("{")
        if start < 0:
            continue
        try:
            said, _ = json.JSONDecoder().raw_decode(line[start:])
        except ValueError:
            continue
        if not isinstance(said, dict) or said.get("reason") not in _OURS:
            continue
        code = said.get("exitCode")
        known = isinstance(code, int) and not isinstance(code, bool)
        return Confession(_OURS[said["reason"]], redact(str(said.get("message") or "")), code if known else None)
    return None


def exit_words(exit_code: int | None) -> str:
    """Say what an exit code means."""
    if exit_code is None:
        return "ended"
    if exit_code == 126:
        return "ended with exit code 126: the command cannot be executed"
    if exit_code == 127:
        return "ended with exit code 127: the command was not found"
    if exit_code > 128 and exit_code - 128 in _SIGNALS:
        return f"ended with exit code {exit_code}, {_SIGNALS[exit_code - 128]}"
    return f"ended with exit code {exit_code}"


def last_words(text: str) -> str:
    """Return the end of a log or message, where the error stands, fit for a status."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return redact(" | ".join(lines[-3:]))
