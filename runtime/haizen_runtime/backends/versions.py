"""The versions in a model's directory, and how a change of their files is noticed."""

from __future__ import annotations

import os
from collections.abc import Hashable
from pathlib import Path

from haizen_runtime.backends.files import is_model_directory
from haizen_runtime.backends.formats import FORMATS
from haizen_runtime.engine.versions import VersionPolicy, is_version
from haizen_runtime.protocol.errors import ModelLoadFailed

UNVERSIONED = "1"
"""What a model without version directories is called."""


def versions_in(directory: Path, policy: VersionPolicy) -> dict[str, Path]:
    """The versions to serve and where each lies, lowest first.

    Directories named by numbers are versions (TF Serving's and Triton's layout), unless a model file lies beside
    them: then, and without any, the directory itself is the only version. Raises ModelLoadFailed when the policy
    leaves none.
    """
    numbered = _numbered(directory)
    if not numbered:
        return {UNVERSIONED: directory}
    chosen = policy.choose(numbered)
    if not chosen:
        there = ", ".join(sorted(numbered, key=int))
        raise ModelLoadFailed(f"{directory} has none of the versions of --version_policy; it has {there}.")
    return {version: numbered[version] for version in chosen}


def fingerprint(path: Path) -> Hashable:
    """Names, sizes, times and inodes of all files below a path: it differs when any of them was replaced.

    None when they cannot be looked at, or one goes away meanwhile: the load will tell what is wrong.
    """
    found: list[tuple[str, int, int, int]] = []
    try:
        _walk(os.fspath(path), found)
    except OSError:
        return None
    return tuple(found)


def _walk(path: str, found: list[tuple[str, int, int, int]]) -> None:
    state = os.stat(path)  # of what a link leads to: a mounted ConfigMap changes by a link
    if not os.path.isdir(path):
        found.append((path, state.st_size, state.st_mtime_ns, state.st_ino))
        return
    found.append((path, 0, 0, state.st_ino))
    with os.scandir(path) as entries:
        names = sorted((entry.name, entry.is_symlink() and entry.is_dir()) for entry in entries)
    for name, is_linked_directory in names:
        below = os.path.join(path, name)
        if is_linked_directory:  # not walked: it may lead back here
            state = os.stat(below)
            found.append((below, 0, state.st_mtime_ns, state.st_ino))
        elif not name.startswith(".haizen-"):
            _walk(below, found)


def _numbered(directory: Path) -> dict[str, Path]:
    """Directories that are versions; none when the directory holds a model itself."""
    try:
        entries = list(directory.iterdir()) if directory.is_dir() else []
        whole = entries and any(is_model_directory(directory, each) for each in FORMATS.values())
        if whole or any(_is_model(entry) for entry in entries):
            return {}
        numbers = [entry for entry in entries if is_version(entry.name) and entry.is_dir()]
        return {entry.name: entry for entry in numbers if any(entry.iterdir())}
    except OSError as error:
        raise ModelLoadFailed(f"{directory} cannot be read: {error.strerror or error}.") from error


def _is_model(entry: Path) -> bool:
    name, ending = entry.name.lower(), entry.suffix.lower()
    return any(name in each.names or ending in each.extensions for each in FORMATS.values()) and entry.exists()
