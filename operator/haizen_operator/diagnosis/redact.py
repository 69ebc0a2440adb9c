"""Takes secrets out of texts that come from pods before they reach a status or an Event.

What processes print may hold signed URLs, passwords in URLs, tokens and keys. A status is readable by everybody who may
read the InferenceService, so these are replaced wherever they look like what they are.
"""

from __future__ import annotations

import re

_HIDDEN = "<hidden>"
_LONGEST = 600

_RULES: tuple[tuple[re.Pattern[str], str], ...] = (
    # user:password@ in a URL
    (re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://)[^\s/@'\"]+@"), rf"\1{_HIDDEN}@"),
    # the query of a URL: signatures of S3, GCS and Azure live there
    (re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://[^\s?'\"]+)\?[^\s'\")]*"), rf"\1?{_HIDDEN}"),
    # Authorization: Bearer x, Basic x
    (re.compile(r"(?i)\b(bearer|basic)\s+[a-z0-9._~+/=-]{8,}"), rf"\1 {_HIDDEN}"),
    # name=value and "name": "value" where the name says that the value is secret
    (
        re.compile(
            r"(?i)([\"']?[a-z0-9_.-]*(?:password|passwd|secret|token|api_?key|access_?key|account_?key|credential|signature)"
            r"[a-z0-9_.-]*[\"']?\s*[=:]\s*)(\"[^\"]*\"|'[^']*'|[^\s,;&)}\]]+)"
        ),
        rf"\1{_HIDDEN}",
    ),
    # keys that are recognised by their own shape: AWS, Hugging Face, GitHub, Google, JSON web tokens
    (re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"), _HIDDEN),
    (re.compile(r"\bhf_[A-Za-z0-9]{16,}\b"), _HIDDEN),
    (re.compile(r"\bgh[pousr]_[A-Za-z0-9]{20,}\b"), _HIDDEN),
    (re.compile(r"\bAIza[A-Za-z0-9_-]{30,}"), _HIDDEN),
    (re.compile(r"\bey[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]*"), _HIDDEN),
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL), _HIDDEN),
)


def redact(text: str) -> str:
    """Return ``text`` on one line, at most 600 characters long, without what looks like a secret."""
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"
