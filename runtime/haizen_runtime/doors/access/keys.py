"""The file of API keys, and finding the one that a request carries. Pure.

One key a line: `KEY [name=NAME] [scope=SCOPE[,SCOPE]]`. Lines that begin with # and empty lines do not count. Only
the keys' hashes are kept, and no error or log line ever has a key in it.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from haizen_runtime.doors.access.policy import Scope
from haizen_runtime.protocol.errors import InvalidConfiguration

MIN_KEY_BYTES: Final = 16
"""Shorter ones could be guessed."""
MAX_KEYS: Final = 1000
"""Each request is compared with all of them."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as it is known here."""

    digest: bytes
    """Its SHA-256."""
    name: str
    """How log lines call it."""
    scopes: frozenset[Scope]


class KeyRing:
    """All the keys of a file."""

    def __init__(self, keys: Sequence[ApiKey]) -> None:
        self.keys = tuple(keys)

    def find(self, presented: bytes) -> ApiKey | None:
        """The key that was presented, or None; takes as long whichever it is."""
        digest = sha256(presented).digest()
        found = None
        for key in self.keys:
            if hmac.compare_digest(digest, key.digest):
                found = key
        return found


def read_keys(content: bytes, where: str) -> KeyRing:
    """The keys of a file `where`. Raises InvalidConfiguration, which names the line and not what is in it."""
    try:
        text = content.decode("ascii")
    except UnicodeDecodeError:
        raise InvalidConfiguration(f"{where} is no ASCII text; it has one API key a line.") from None
    keys: dict[bytes, ApiKey] = {}
    for number, line in _lines(text):
        key = _read_line(line, f"{where}, line {number}", number)
        if key.digest in keys:
            raise InvalidConfiguration(f"{where}, line {number} has the key of {keys[key.digest].name} once more.")
        keys[key.digest] = key
    if not keys:
        raise InvalidConfiguration(f"{where} has no API key; without one nobody could ask for anything.")
    if len(keys) > MAX_KEYS:
        raise InvalidConfiguration(f"{where} has {len(keys)} API keys; at most {MAX_KEYS} are accepted.")
    return KeyRing(list(keys.values()))


def _lines(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            yield number, line.strip()


def _read_line(line: str, where: str, number: int) -> ApiKey:
    secret, *words = line.split()
    if len(secret) < MIN_KEY_BYTES or not secret.isprintable():
        raise InvalidConfiguration(f"{where}: an API key has at least {MIN_KEY_BYTES} printable characters.")
    name, scopes = f"line-{number}", frozenset((Scope.INFERENCE,))
    for word in words:
        what, _, value = word.partition("=")
        if what == "name" and value:
            name = value
        elif what == "scope":
            scopes = _read_scopes(value, where)
        else:
            raise InvalidConfiguration(f"{where}: behind the key there may be name=NAME and scope=SCOPE, nothing else.")
    return ApiKey(sha256(secret.encode()).digest(), name, scopes)


def _read_scopes(value: str, where: str) -> frozenset[Scope]:
    try:
        return frozenset(Scope(each) for each in value.split(","))
    except ValueError:
        known = ", ".join(scope.value for scope in Scope)
        raise InvalidConfiguration(f"{where}: the scope must be of {known}, or several with commas.") from None
