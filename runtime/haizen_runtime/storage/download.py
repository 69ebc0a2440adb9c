"""``haizen-runtime download URI DIR [URI DIR ...]``: the init container's program, and anyone's on a laptop."""

import json
import signal
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from haizen_runtime.storage.errors import Cancelled, DownloadError, misconfigured, start_error
from haizen_runtime.storage.fetching import fetch_all
from haizen_runtime.storage.paths import human
from haizen_runtime.storage.uris import redact
from haizen_runtime.termination import DEFAULT_LOG, report_fatal

USAGE = "usage: haizen-runtime download URI DIR [URI DIR ...]"
EXIT_CODE_CANCELLED = 143
_REPORT_SECONDS = 10.0


def run_download(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Download every (URI, DIR) pair of ``argv`` and return the exit code.

    Without arguments the pairs come from HAIZEN_STORAGE_URIS. 0 is success; a failure is reported as `report_fatal`
    says, in the file HAIZEN_TERMINATION_LOG, and has the exit code of its kind (`StartError`). SIGTERM and SIGINT stop
    cleanly with 143; the next run resumes.
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
    except Cancelled as error:
        sys.stderr.write(f"haizen-runtime: {error}\n")
        return EXIT_CODE_CANCELLED
    except DownloadError as error:
        return report_fatal(start_error(error), environ.get("HAIZEN_TERMINATION_LOG") or DEFAULT_LOG)
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
