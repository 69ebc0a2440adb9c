"""Compressed answers: which encoding a client takes, and the compression itself. Pure."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

_WINDOW_BITS: Final = {b"gzip": 31, b"deflate": 15}
"""HTTP's deflate is the zlib format (RFC 9110, 8.4.1.2)."""
THREAD_BYTES: Final = 64 * 1024
"""From this size on the compression goes to a thread: it takes longer than the hop there."""


@lru_cache(maxsize=64)
def accepted_encoding(accept: bytes) -> bytes | None:
    """gzip or deflate, by an Accept-Encoding header's weights, gzip before deflate; None for neither."""
    weights: dict[bytes, float] = {}
    for item in accept[:1000].lower().split(b","):
        name, _, parameters = item.partition(b";")
        weights[name.strip()] = _weight(parameters)
    others = weights.get(b"*", 0.0)
    best = max(_WINDOW_BITS, key=lambda name: weights.get(name, others))
    return best if weights.get(best, others) > 0 else None


def _weight(parameters: bytes) -> float:
    name, _, value = parameters.partition(b"=")
    if name.strip() != b"q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0


def compressed(pieces: Iterable[bytes | memoryview], encoding: bytes) -> bytes:
    """All pieces as one compressed body, at the fastest level: numbers gain little from more."""
    compressor = zlib.compressobj(zlib.Z_BEST_SPEED, zlib.DEFLATED, _WINDOW_BITS[encoding])
    return b"".join([*(compressor.compress(piece) for piece in pieces), compressor.flush()])
