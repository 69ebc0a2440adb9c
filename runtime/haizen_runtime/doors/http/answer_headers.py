"""Headers that a model wants to be sent with its answer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from haizen_runtime.doors.http.responses import Answer
from haizen_runtime.protocol.errors import InferenceFailed

_OF_THE_BODY: Final = frozenset(
    {"content-length", "content-type", "content-encoding", "inference-header-content-length"}
)
_OF_THE_CONNECTION: Final = frozenset({
    "connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
})  # fmt: skip
_OF_THE_SERVER: Final = frozenset({"date", "haizen-revision"})
"""Another server's would stand beside this one's."""
_THE_SERVERS: Final = _OF_THE_BODY | _OF_THE_CONNECTION | _OF_THE_SERVER
_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+").fullmatch  # RFC 9110, 5.1
_VALUE: Final = re.compile(r"[\t\x20-\x7e\x80-\xff]*").fullmatch  # RFC 9110, 5.5


def with_model_headers(
    answer: bytes | Answer, headers: Mapping[str, str], request_headers: Mapping[bytes, bytes]
) -> Answer:
    """The answer with a model's headers, but for those that say how, when and by whom the answer is sent.

    A model that asks another server hands on all of that one's headers (KServe's transformers do).
    Raises InferenceFailed for what HTTP cannot carry.
    """
    plain = Answer.of(answer)
    taken = {name for name, _ in plain.headers}
    if b"x-request-id" in request_headers:
        taken.add(b"x-request-id")  # it comes back by itself
    more = []
    for name, value in headers.items():
        lower = name.lower()
        if lower in _THE_SERVERS or lower.encode("utf-8", "replace") in taken:
            continue
        if not _NAME(lower) or not _VALUE(value):
            raise InferenceFailed(f"The model's answer has a header that HTTP cannot carry: {name[:80]!r}.")
        more.append((lower.encode("ascii"), value.strip().encode("latin-1")))
    return plain.with_headers(more)
