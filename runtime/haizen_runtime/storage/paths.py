"""Names that come from elsewhere (archive members, object keys) and may become paths here."""

import re
from collections.abc import Iterable

_DRIVE = re.compile(r"^[A-Za-z]:")
MAX_COMPONENT = 255
MAX_DEPTH = 64
_ARCHIVES = {".tar.gz": "tgz", ".tgz": "tgz", ".tar": "tar", ".zip": "zip"}


class UnsafePath(ValueError):
    """A name that could lead out of the destination, or that no file system takes; the message says why."""


def safe_relative(name: str) -> str:
    """Return ``name`` as a relative POSIX path without ``.`` components; empty for the folder itself.

    Backslashes count as separators when judging ``..`` and are refused otherwise: on another system they would
    separate. Raises UnsafePath.
    """
    if any(ord(character) < 0x20 or ord(character) == 0x7F for character in name):
        raise UnsafePath("it holds control characters")
    if name.startswith(("/", "\\")):
        raise UnsafePath("it is an absolute path")
    components = [part for part in name.split("/") if part not in ("", ".")]
    if components and _DRIVE.match(components[0]):
        raise UnsafePath("it is an absolute path")
    if any(part == ".." for part in re.split(r"[/\\]", name)):
        raise UnsafePath("it leads out of the folder with '..'")
    if "\\" in name:
        raise UnsafePath("it holds a backslash")
    if len(components) > MAX_DEPTH:
        raise UnsafePath(f"it is more than {MAX_DEPTH} folders deep")
    for part in components:
        try:
            size = len(part.encode())
        except UnicodeEncodeError:
            raise UnsafePath("it is not valid Unicode") from None
        if size > MAX_COMPONENT:
            raise UnsafePath(f"a component is longer than {MAX_COMPONENT} bytes")
    if components and components[0].startswith(".haizen-"):
        raise UnsafePath("it begins with .haizen-, which names haizen's own files")
    return "/".join(components)


def first_collision(paths: Iterable[str]) -> str | None:
    """Return a path that is there twice, or that is a file where another needs a folder; None when all fit."""
    seen: set[str] = set()
    folders: set[str] = set()
    for path in paths:
        parents = path.split("/")[:-1]
        above = {"/".join(parents[: depth + 1]) for depth in range(len(parents))}
        if path in seen or path in folders or above & seen:
            return path
        seen.add(path)
        folders |= above
    return None


def human(size: int) -> str:
    """Return ``size`` in bytes as people write it."""
    value = float(size)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"


def archive_kind(name: str) -> str | None:
    """Return "tar", "tgz" or "zip" by the file's name, None for anything else (a ``.mar`` stays as it is)."""
    lower = name.lower()
    return next((kind for suffix, kind in _ARCHIVES.items() if lower.endswith(suffix)), None)
