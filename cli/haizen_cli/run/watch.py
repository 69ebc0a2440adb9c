"""Notices edits of the YAML files."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

from watchfiles import Change, awatch

DEBOUNCE_MILLISECONDS = 200
"""Editors write, rename and set times in several steps; they count as one edit."""


async def edits(names: Sequence[str], stop: asyncio.Event) -> AsyncIterator[None]:
    """Yield each time one of the files was written, replaced, or (in a folder) added or removed.

    The folders are watched rather than the files, since most editors replace a file by renaming a new one over it.
    """
    watched, counts = _filter(names)
    async for _ in awatch(
        *watched,
        watch_filter=counts,
        debounce=DEBOUNCE_MILLISECONDS,
        step=50,
        stop_event=stop,
        recursive=False,
        raise_interrupt=False,
    ):
        yield


def _filter(names: Sequence[str]) -> tuple[set[Path], Callable[[Change, str], bool]]:
    """Return the folders to watch, and which of their files count."""
    paths = [Path(name).resolve() for name in names]
    folders = {path for path in paths if path.is_dir()}
    files = set(paths) - folders

    def counts(_change: Change, name: str) -> bool:
        path = Path(name)
        return path in files or (path.parent in folders and path.suffix in {".yaml", ".yml"})

    return folders | {path.parent for path in files}, counts
