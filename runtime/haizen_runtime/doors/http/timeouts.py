"""How long a request may take, as its headers say it."""

from __future__ import annotations

from typing import Final

TIMEOUT_HEADER: Final = b"x-envoy-expected-rq-timeout-ms"
"""What Envoy tells an upstream about the time a request has left, in milliseconds."""


def deadline_of(now: float, header: bytes | None, limit_seconds: float) -> float | None:
    """When a request that came `now` must be answered: by the header or the limit (0 for none), what is sooner."""
    seconds = limit_seconds or None
    if header is not None and header.isdigit() and len(header) < 12:
        wanted = int(header) / 1000
        if wanted > 0 and (seconds is None or wanted < seconds):
            seconds = wanted
    return None if seconds is None else now + seconds
