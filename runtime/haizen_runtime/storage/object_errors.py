"""What an error text of the object stores' client means. Pure.

The client (object_store) has one error for most failures; status, certificate and cause are only in its text, beside
times and URLs, which may hold any number or word: "in 301.2ms" is no status, and a bucket may be called "certificates".
"""

import re
from enum import Enum

_URL = re.compile(r"https?://\S+")
_REGION = re.compile(
    r"redirect without LOCATION|\bstatus(?: code)?: 301\b|PermanentRedirect|AuthorizationHeaderMalformed"
)
_CERTIFICATE = re.compile(r"InvalidCertificate\(\s*(\w+)|UnknownIssuer|invalid peer certificate")
_MAX_CAUSE = 300


class Cause(Enum):
    """Why a request failed, as far as it is told; the value completes a sentence about the bucket."""

    REGION = "lies in another region; set AWS_DEFAULT_REGION to it"
    NO_BUCKET = "does not exist"
    UNTRUSTED = "is behind a certificate that is not trusted; name its CA in AWS_CA_BUNDLE"
    WRONG_NAME = "is behind a certificate that is not trusted: it is for another host name than the endpoint's"
    EXPIRED = "is behind a certificate that is not trusted: it has expired or is not valid yet"
    OTHER = "did not answer"


def cause_of(text: str) -> Cause:
    """Return what ``text`` says; OTHER may be tried again."""
    text = _URL.sub("the server", text)
    if _REGION.search(text):
        return Cause.REGION
    if "NoSuchBucket" in text:
        return Cause.NO_BUCKET
    found = _CERTIFICATE.search(text)
    if found is None:
        return Cause.OTHER
    kind = found.group(1) or ""
    if kind.startswith("NotValidForName"):
        return Cause.WRONG_NAME
    return Cause.EXPIRED if kind.startswith(("Expired", "NotValidYet")) else Cause.UNTRUSTED


def short(text: str) -> str:
    """Return the plain reason out of a nested error: its first line without URLs (their queries may be signed)."""
    line = _URL.sub("the server", text.strip().partition("\n")[0])
    return line[:_MAX_CAUSE] or "the request failed"
