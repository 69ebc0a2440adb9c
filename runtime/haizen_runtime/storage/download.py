"""``haizen-runtime download URI DIR [URI DIR ...]``: the init container's program, and anyone's on a laptop."""

import json
import signal
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from haizen_runtime.storage.errors import DownloadError, misconfigured
from haizen_runtime.storage.fetching import fetch_all
from haizen_runtime.storage.paths import human
from haizen_runtime.storage.uris import redact

USAGE = "usage: haizen-runtime download URI DIR [URI DIR ...]"
EXIT_CODES = {"InvalidConfiguration": 2, "ModelDownloadFailed": 4, "ChecksumMismatch": 4, "Cancelled": 143}
_TERMINATION_LOG = "/dev/termination-log"
_REPORT_SECONDS = 10.0


def run_download(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Download every (URI, DIR) pair of ``argv`` and return the exit code.

    Without arguments the pairs come from HAIZEN_STORAGE_URIS. 0 is success; a failure prints one line, writes one
    JSON line to the termination log (HAIZEN_TERMINATION_LOG, default /dev/termination-log, when that exists) and
    returns its code from EXIT_CODES. SIGTERM and SIGINT stop cleanly; the next run resumes.
    """
    if list(argv) in (["-h"], ["--help"]):
        sys.stdout.write(f"{USAGE}\n\n{fetch_all.__doc__ or ''}\n")
        return 0
    cancel = threading.Event()
    former = _on_signals(cancel)
    try:
        pairs = _pairs(argv, environ)
        began = time.monotonic()
        fetch_all(pairs, environ=environ, progress=_Reporter(began), cancel=cancel)
        for uri, place in pairs:
            sys.stderr.write(f"{redact(uri)} is at {place} ({time.monotonic() - began:.1f} s)\n")
        return 0
    except DownloadError as error:
        code = EXIT_CODES.get(error.reason, 4)
        sys.stderr.write(f"haizen-runtime download: {error}\n")
        if error.reason != "Cancelled":
            write_termination_message(error.reason, str(error), code, environ)
        return code
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def storage_uris(environ: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the (URI, folder) pairs of HAIZEN_STORAGE_URIS, a JSON list of {"uri", "mountPath"}.

    Raises DownloadError that says what the variable should hold.
    """
    text = environ.get("HAIZEN_STORAGE_URIS", "").strip()
    if not text:
        return []
    try:
        return [(_string(item["uri"]), _string(item["mountPath"])) for item in json.loads(text)]
    except (ValueError, KeyError, TypeError):
        raise misconfigured('HAIZEN_STORAGE_URIS must be a JSON list of {"uri": ..., "mountPath": ...}') from None


def write_termination_message(reason: str, message: str, exit_code: int, environ: Mapping[str, str]) -> None:
    """Write the one JSON line that the operator reads from the pod's status, where there is such a file."""
    path = Path(environ.get("HAIZEN_TERMINATION_LOG") or _TERMINATION_LOG)
    # Kubernetes keeps 4096 bytes.
    line = json.dumps({"reason": reason, "message": message[:3000], "exitCode": exit_code})
    try:
        if path.exists():
            path.write_text(line + "\n", encoding="utf-8")
    except OSError as error:
        sys.stderr.write(f"the termination message could not be written to {path}: {error.strerror}\n")


class _Reporter:
    """Prints a line about the progress every ten seconds; a log is not a place for bars."""

    def __init__(self, now: float) -> None:
        self._last = now

    def __call__(self, done: int, total: int | None, file: str) -> None:
        now = time.monotonic()
        if now - self._last >= _REPORT_SECONDS:
            self._last = now
            sys.stderr.write(f"{human(done)} of {'?' if total is None else human(total)} ({file})\n")


def _pairs(argv: Sequence[str], environ: Mapping[str, str]) -> list[tuple[str, str]]:
    if not argv:
        pairs = storage_uris(environ)
        if not pairs:
            raise misconfigured(f"nothing to download; {USAGE}")
        return pairs
    if len(argv) % 2:
        raise misconfigured(f"every URI needs a folder; {USAGE}")
    return list(zip(argv[::2], argv[1::2], strict=True))


def _string(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError
    return value


def _on_signals(cancel: threading.Event) -> dict[int, Any]:
    """Let SIGTERM and SIGINT set ``cancel``; returns the handlers that were there (none off the main thread)."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    return {number: signal.signal(number, lambda *_: cancel.set()) for number in (signal.SIGTERM, signal.SIGINT)}
