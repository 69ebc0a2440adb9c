"""What happens while services run, as values: the display shows them, the tests read them."""

from dataclasses import dataclass
from enum import StrEnum

from haizen_cli.run.routing import ServiceKey, Share


class Stage(StrEnum):
    """Where a revision stands."""

    DOWNLOADING = "downloading"
    LOADING = "loading"
    READY = "ready"
    FAILED = "failed"
    RESTARTING = "restarting"
    DRAINING = "draining"
    STOPPED = "stopped"


@dataclass(frozen=True)
class RevisionEvent:
    """A revision moved to another stage, or on within one.

    Attributes:
        done: Bytes fetched so far (while downloading).
        total: Bytes in all; None while not known.
        message: Why, for failures and restarts.
    """

    service: ServiceKey
    revision: str
    stage: Stage
    message: str = ""
    done: int = 0
    total: int | None = None


@dataclass(frozen=True)
class TrafficEvent:
    """A service's traffic was switched."""

    service: ServiceKey
    shares: tuple[Share, ...]
    message: str = ""


@dataclass(frozen=True)
class ServiceEvent:
    """Something about a service or about the files as a whole: a note, a warning, a refusal."""

    message: str
    service: ServiceKey | None = None
    is_problem: bool = False


@dataclass(frozen=True)
class OutputEvent:
    """A line that a runtime process wrote."""

    service: ServiceKey
    revision: str
    line: str


Event = RevisionEvent | TrafficEvent | ServiceEvent | OutputEvent
