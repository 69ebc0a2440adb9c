"""Who a request is, for log lines and traces: its id, its trace, the name of its API key."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass

from haizen_runtime.protocol.limits import DEFAULT_LIMITS


@dataclass(slots=True)
class Identity:
    """What is known about one request while it runs."""

    request_id: str = ""
    trace_id: str = ""
    """32 hexadecimal digits (W3C Trace Context), or empty."""
    key: str = ""
    """The name of the API key."""


IDENTITY: ContextVar[Identity | None] = ContextVar("haizen_identity", default=None)
"""Set for the length of a request when somebody wants to know: the access log or traces."""


def identity_of(headers: Mapping[bytes, bytes], max_id_bytes: int = DEFAULT_LIMITS.request_id_bytes) -> Identity:
    """What a request says about itself; what cannot be used, and a longer id, is left out."""
    request_id = headers.get(b"x-request-id", b"")
    if len(request_id) > max_id_bytes:
        request_id = b""
    return Identity(printable(request_id), trace_id_of(headers.get(b"traceparent", b"")))


def trace_id_of(traceparent: bytes) -> str:
    """The trace id of a traceparent header, or "" when it has none that is valid."""
    parts = traceparent.split(b"-")
    if len(parts) < 4 or len(parts[1]) != 32 or parts[1].strip(b"0123456789abcdef") or not parts[1].strip(b"0"):
        return ""
    return parts[1].decode()


def printable(data: bytes) -> str:
    """Bytes from the wire as text that breaks no log line."""
    return "".join(char if char.isprintable() else "?" for char in data.decode("latin-1"))


def identified(headers: Mapping[bytes, bytes], max_id_bytes: int) -> dict[str, object]:
    """`extra` for a log line about a request, when nothing has set IDENTITY."""
    identity = identity_of(headers, max_id_bytes)
    fields = {"request_id": identity.request_id, "trace_id": identity.trace_id}
    return {"fields": {name: value for name, value in fields.items() if value}}
