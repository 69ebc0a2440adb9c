"""Headers that a model wants to be sent with its answer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from haizen_runtime.doors.http.responses import Answer
from haizen_runtime.protocol.errors import InferenceFailed

HOP_BY_HOP: Final = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade")
)
"""Headers that are about one connection only (RFC 9110, 7.6.1) and are not passed on."""
_OF_THE_BODY: Final = frozenset(
    (b"content-length", b"content-type", b"content-encoding", b"inference-header-content-length")
)
_OF_THE_SERVER: Final = frozenset((b"date", b"haizen-revision"))
"""Another server's would stand beside this one's."""
_THE_SERVERS: Final = _OF_THE_BODY | HOP_BY_HOP | _OF_THE_SERVER
_NAME: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9a-z-]+").fullmatch  # RFC 9110, 5.1
_VALUE: Final = re.compile(r"[\t\x20-\x7e\x80-\xff]*").fullmatch  # RFC 9110, 5.5


def with_model_headers(
    answer: bytes | Answer, headers: Mapping[str, str], request_headers: Mapping[bytes, bytes]
) -> Answer:
    """The answer with a model's headers, but for those that say how, when and by whom the answer is sent.

    A model that asks another server hands on all of that one's headers (KServe's transformers do).
    Raises InferenceFailed for what HTTP cannot carry.
    """
    plain = Answer.of(answer)
    taken = _THE_SERVERS.union(name for name, _ in plain.headers)
    if b"x-request-id" in request_headers:
        taken |= {b"x-request-id"}  # it comes back by itself
    more = []
    for name, value in headers.items():
        lower = name.lower().encode("utf-8", "replace")
        if lower in taken:
            continue
        if not _NAME(lower) or not _VALUE(value):
            raise InferenceFailed(f"The model's answer has a header that HTTP cannot carry: {name[:80]!r}.")
        more.append((lower, value.strip().encode("latin-1")))
    return plain.with_headers(more)
