"""Whole HTTP/1.1 answers, for connections that have no request to answer. Pure."""

from __future__ import annotations

import json
from typing import Final

_REASONS: Final = {400: b"Bad Request", 408: b"Request Timeout", 503: b"Service Unavailable"}


def plain_answer(status: int, message: str) -> bytes:
    """`{"error": message}` with one of the statuses 400, 408 and 503, after which the connection is closed."""
    body = json.dumps({"error": message}).encode()
    lines = [
        b"HTTP/1.1 %d %s" % (status, _REASONS[status]),
        b"content-type: application/json",
        b"content-length: %d" % len(body),
        *((b"retry-after: 1",) if status == 503 else ()),
        b"connection: close",
    ]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body
