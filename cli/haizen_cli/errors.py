"""The one error that the command line shows to its user instead of a traceback."""

from pathlib import Path


class CliError(Exception):
    """Something the user can put right: what was wrong, where, and what would be right.

    Attributes:
        message: What was wrong, in one sentence.
        where: The file (and line) or the object it is about; empty when there is no such place.
        fix: What would be right; empty when the message says it already.
    """

    def __init__(self, message: str, *, where: str = "", fix: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.fix = fix

    def __str__(self) -> str:
        text = f"{self.where}: {self.message}" if self.where else self.message
        return f"{text}\n  {self.fix}" if self.fix else text


def place(file: Path | str, line: int | None = None) -> str:
    """Name a place in a file the way editors and compilers do: ``file:line``."""
    return f"{file}:{line}" if line else str(file)
