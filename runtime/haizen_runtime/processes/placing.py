"""Which process gets the next connection, and what each of several processes may use. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from haizen_runtime.settings import Settings


@dataclass(slots=True)
class Load:
    """What one process has, as far as it is known: the process says now and then what it has open."""

    handed: int = 0
    """Connections given to it in all."""
    received: int = 0
    """How many of them it had when it last said so."""
    opened: int = 0
    """How many connections were open then."""
    ready: bool = False
    started: bool = False
    """Whether it has been ready, and has done what the others were told before it came."""

    @property
    def connections(self) -> int:
        """Connections that it has or is about to have."""
        return self.opened + self.handed - self.received


def ranked(loads: Iterable[Load]) -> list[Load]:
    """Whom to give the next connection, best first: ready ones, with the fewest connections, then in turns.

    Where none is ready, because the model is unloaded, one that is still loading it waits until it is told so, too.
    """
    return sorted(loads, key=lambda load: (not load.ready, not load.started, load.connections, load.handed))


def share(settings: Settings, count: int, cpus: int) -> Settings:
    """The settings of one of `count` processes: threads that nobody chose are divided, not started by each."""
    each = max(1, cpus // count)
    return replace(settings, processes=count, threads=settings.threads or each, instances=settings.instances or each)
