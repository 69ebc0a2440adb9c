"""Tables and numbers as the pages show them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

_SIZES = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a table."""
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    return lines + ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]


def size(count: float) -> str:
    """Bytes in the largest unit that gives a whole number."""
    for unit, name in _SIZES:
        if count >= unit and count % unit == 0:
            return f"{count // unit:g} {name}"
    return f"{count:g} bytes"
