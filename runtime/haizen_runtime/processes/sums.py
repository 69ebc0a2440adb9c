"""The metrics of several processes as one. Pure: families are plain lists that JSON carries.

A family is `[name, text, kind, samples]`, a sample `[name, labels, value]`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

Family = list[Any]

LEAST: Final = ("_ready", "process_start_time_seconds")
"""Ends of names of which the least counts: what only one process cannot do yet, all together cannot."""
MOST: Final = ("_info", "_load_seconds", "_warmup_seconds", "_loop_rows", "process_max_fds")
"""Ends of names of which the greatest counts; of all others it is the sum."""
KEPT: Final = ("counter", "histogram", "summary")
"""Kinds that only grow: what an ended process counted stays in the sum, or a scraper would see a restart."""


def summed(snapshots: Iterable[list[Family]]) -> list[Family]:
    """All snapshots together, in the order in which names come."""
    families: dict[str, Family] = {}
    samples: dict[str, dict[tuple[str, tuple[tuple[str, str], ...]], float]] = {}
    for snapshot in snapshots:
        for name, text, kind, rows in snapshot:
            families.setdefault(name, [name, text, kind, []])
            known, combine = samples.setdefault(name, {}), _combine(name)
            for sample, labels, value in rows:
                key = (sample, tuple(sorted(labels.items())))
                known[key] = combine(known[key], value) if key in known else value
    for name, family in families.items():
        family[3] = [[sample, dict(labels), value] for (sample, labels), value in samples[name].items()]
    return list(families.values())


def kept(snapshot: list[Family]) -> list[Family]:
    """What is left of a process that has ended."""
    return [family for family in snapshot if family[2] in KEPT]


def _combine(name: str) -> Callable[[float, float], float]:
    if name.endswith(LEAST):
        return min
    return max if name.endswith(MOST) else _add


def _add(one: float, other: float) -> float:
    return one + other
