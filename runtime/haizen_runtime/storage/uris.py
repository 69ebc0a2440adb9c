"""Model URIs: their scheme, their promised checksum, and how they may be shown."""

import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

# scheme://rest, as in RFC 3986; a Windows drive ("C:") has no "//".
_SCHEME = re.compile(r"^(<[^>]*>|[A-Za-z][A-Za-z0-9+.-]*)://")
_USERINFO = re.compile(r"(?<=://)[^/?#]*@")
_SHA256 = re.compile(r"^[0-9a-fA-F]{64}$")


@dataclass(frozen=True)
class ModelUri:
    """A model URI taken apart: ``scheme`` in lower case ("file" for a plain path), ``rest`` behind ``://``."""

    text: str
    scheme: str
    rest: str
    sha256: str | None

    @property
    def without_fragment(self) -> str:
        """The URI as the source wants it, without ``#sha256=...``."""
        return self.text.partition("#sha256=")[0]


def parse_uri(text: str) -> ModelUri:
    """Parse ``text``; a plain path counts as ``file``, ``#sha256=<hex>`` promises the digest of a single file.

    Raises ValueError with a message for the user.
    """
    if not text or text != text.strip():
        raise ValueError("the model URI is empty or has blanks around it")
    if any(ord(character) < 0x20 or ord(character) == 0x7F for character in text):
        raise ValueError("the model URI holds control characters")
    body, mark, digest = text.partition("#sha256=")
    if mark and not _SHA256.match(digest):
        raise ValueError("#sha256= in the model URI must be followed by 64 hexadecimal digits")
    match = _SCHEME.match(body)
    scheme = match.group(1).lower() if match else "file"
    rest = body[match.end() :] if match else body
    return ModelUri(text=text, scheme=scheme, rest=rest, sha256=digest.lower() if mark else None)


def redact(uri: str) -> str:
    """Return ``uri`` without user, password, query and fragment: the form for logs, events and errors."""
    shown = _USERINFO.sub("", uri)
    match = _SCHEME.match(shown)
    if match is None or match.group(1).lower() == "file":
        return shown
    return re.split(r"[?#]", shown, maxsplit=1)[0]


def basename_of_url(url: str) -> str:
    """Return the last segment of the path of ``url``, decoded; empty when there is none."""
    return unquote(urlsplit(url).path.rstrip("/").rpartition("/")[2])
