"""Files that are read again when they change: keys and certificates are renewed without a restart.

Kubernetes renews a mounted Secret by swapping a link, other tools write in place; so the contents themselves are
compared, which misses neither. The files are small.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Final

from haizen_runtime.protocol.errors import InvalidConfiguration

log = logging.getLogger("haizen_runtime")

POLL_SECONDS: Final = 1.0
"""How often the files are read."""


class WatchedFiles:
    """Gives the contents of files to `apply`: once at the start, and whenever one of them has changed."""

    def __init__(self, what: str, paths: Sequence[str], apply: Callable[[Sequence[bytes]], None]) -> None:
        """Reads and applies them. `what` names them in the log; `apply` may be called on a thread.

        Raises InvalidConfiguration when a file cannot be read, or as `apply` does.
        """
        self._what = what
        self._paths = [Path(path) for path in paths]
        self._apply = apply
        contents = self._read()
        apply(contents)
        self._seen = _digests(contents)
        threading.Thread(target=self._watch, name=f"watch-{what}", daemon=True).start()

    def check(self) -> None:
        """Apply what has changed. What cannot be applied leaves everything as it was, and is told once."""
        try:
            contents = self._read()
        except InvalidConfiguration as error:
            self._keep(error, [])
            return
        if _digests(contents) == self._seen:
            return
        try:
            self._apply(contents)
        except InvalidConfiguration as error:
            self._keep(error, contents)
            return
        self._seen = _digests(contents)
        log.info("the %s changed and were read again", self._what)

    def _keep(self, error: InvalidConfiguration, contents: list[bytes]) -> None:
        if _digests(contents) != self._seen:
            self._seen = _digests(contents)
            log.error("the %s changed and cannot be used; the former ones stay: %s", self._what, error.message)

    def _watch(self) -> None:
        pause = threading.Event()
        while not pause.wait(POLL_SECONDS):
            self.check()

    def _read(self) -> list[bytes]:
        contents = []
        for path in self._paths:
            try:
                contents.append(path.read_bytes())
            except OSError as error:
                raise InvalidConfiguration(f"{path} cannot be read: {error.strerror or error}.") from None
        return contents


def _digests(contents: Sequence[bytes]) -> list[bytes]:
    """What tells whether they changed; secrets themselves are not kept."""
    return [sha256(content).digest() for content in contents]
