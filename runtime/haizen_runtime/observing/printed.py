"""What model code prints, as log lines: they then say which model and which process they are of."""

from __future__ import annotations

import io
import logging
import sys
import threading
from typing import Final, TextIO

MAX_LINE: Final = 8192
"""Characters without an end of line are told after as many."""


class PrintedLines(io.TextIOBase):
    """A text stream whose lines go to the log. Takes the place of sys.stdout or sys.stderr."""

    encoding = "utf-8"

    def __init__(self, original: TextIO, level: int) -> None:
        self._original = original
        self._level = level
        self._log = logging.getLogger("haizen_runtime.model")
        self._rest = ""
        self._inside = threading.local()

    @property
    def buffer(self) -> object:
        """For code that writes bytes: the stream itself."""
        return self._original.buffer

    def fileno(self) -> int:
        """For code that hands its output to other programs: the stream itself."""
        return self._original.fileno()

    def writable(self) -> bool:
        """Yes."""
        return True

    def write(self, text: str) -> int:
        """Tell the lines that are complete."""
        if getattr(self._inside, "log", False):  # the log itself prints that it failed
            return self._original.write(text)
        *lines, self._rest = (self._rest + text).split("\n")
        if len(self._rest) > MAX_LINE:
            lines.append(self._rest)
            self._rest = ""
        self._inside.log = True
        try:
            for line in lines:
                if line.strip():
                    self._log.log(self._level, "%s", line.rstrip("\r"))
        finally:
            self._inside.log = False
        return len(text)


def print_to_log() -> None:
    """Let this process's prints be log lines from now on; the log must be configured already."""
    sys.stdout = PrintedLines(sys.stdout, logging.INFO)
    sys.stderr = PrintedLines(sys.stderr, logging.WARNING)
