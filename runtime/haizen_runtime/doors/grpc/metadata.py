"""gRPC's request and response metadata: deadlines, status and messages as HTTP/2 headers. Pure."""

from __future__ import annotations

import re
from typing import Final

from haizen_runtime.protocol.errors import GrpcStatus, InvalidInput, RequestError

Headers = list[tuple[bytes, bytes]]

OK: Final[Headers] = [(b"grpc-status", b"0")]

_UNIT_SECONDS: Final = {b"n": 1e-9, b"u": 1e-6, b"m": 1e-3, b"S": 1.0, b"M": 60.0, b"H": 3600.0}
MAX_MESSAGE_BYTES: Final = 2000
"""Clients limit all metadata together to 8 KiB; each byte may become three."""
_UNPRINTABLE: Final = re.compile(rb"[^ -$&-~]")


def timeout_seconds(header: bytes | None) -> float | None:
    """What grpc-timeout says: up to eight digits and a unit. None for no limit; raises InvalidInput."""
    if header is None:
        return None
    digits, unit = header[:-1], _UNIT_SECONDS.get(header[-1:])
    if unit is None or not digits.isdigit() or len(digits) > 8:
        shown = header[:40].decode("latin-1")
        raise InvalidInput(
            f"The grpc-timeout {shown} is not valid; it has up to eight digits and a unit of H M S m u n."
        )
    return int(digits) * unit


def deadline_of(now: float, timeout: float | None, limit_seconds: float) -> float | None:
    """When a call that came `now` must be answered: by its timeout or the limit (0 for none), what is sooner."""
    if limit_seconds and (timeout is None or limit_seconds < timeout):
        timeout = limit_seconds
    return None if timeout is None else now + timeout


def percent_encoded(message: str) -> bytes:
    """A grpc-message: UTF-8, with everything but printable ASCII, and the percent sign, as %XX."""
    data = message.encode("utf-8", "replace")
    if len(data) > MAX_MESSAGE_BYTES:
        data = data[:MAX_MESSAGE_BYTES].decode("utf-8", "ignore").encode()
    return _UNPRINTABLE.sub(lambda match: b"%%%02X" % match[0][0], data)


def error_trailers(error: RequestError) -> Headers:
    """Status, message and, when the client may try again, after how long."""
    trailers = [(b"grpc-status", b"%d" % error.grpc_status), (b"grpc-message", percent_encoded(error.message))]
    if error.retry_after_seconds is not None and error.grpc_status is GrpcStatus.UNAVAILABLE:
        trailers.append((b"grpc-retry-pushback-ms", b"%d" % (error.retry_after_seconds * 1000)))
    return trailers
