"""STORAGE_ALLOW_PATTERNS and STORAGE_IGNORE_PATTERNS: which files of a source are wanted."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from haizen_runtime.storage.sources import RemoteFile


@dataclass(frozen=True)
class Patterns:
    """Shell patterns over relative paths; ``*`` crosses folders and ``folder/`` means all in it (the hub's rules)."""

    allow: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> "Patterns":
        """Read the two variables (a JSON list or comma-separated); raises ValueError that names the variable."""
        return cls(_read(environ, "STORAGE_ALLOW_PATTERNS"), _read(environ, "STORAGE_IGNORE_PATTERNS"))

    def wants(self, path: str) -> bool:
        """Say whether the file at ``path`` is to be fetched."""
        if self.allow and not any(fnmatchcase(path, pattern) for pattern in self.allow):
            return False
        return not any(fnmatchcase(path, pattern) for pattern in self.ignore)

    def filter(self, files: Sequence[RemoteFile]) -> list[RemoteFile]:
        """Return the wanted files."""
        return [file for file in files if self.wants(file.path)]

    def __str__(self) -> str:
        return f"allow={list(self.allow)} ignore={list(self.ignore)}"


def _read(environ: Mapping[str, str], name: str) -> tuple[str, ...]:
    text = environ.get(name, "").strip()
    if not text:
        return ()
    if text.startswith("["):
        try:
            values = json.loads(text)
        except ValueError:
            values = None
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            raise ValueError(f"{name} must be a JSON list of strings or a comma-separated list")
    else:
        values = text.split(",")
    stripped = [value.strip() for value in values if value.strip()]
    return tuple(value + "*" if value.endswith("/") else value for value in stripped)
