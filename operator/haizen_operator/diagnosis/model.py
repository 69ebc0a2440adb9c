"""The result of a diagnosis."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from haizen_operator.reasons import Reason


class Rank(IntEnum):
    """How much a finding tells; the highest of many wins."""

    WAITING = 0  # nothing is wrong yet
    SYMPTOM = 1  # it does not work, the cause is elsewhere
    EXIT = 2  # a process ended
    CAUSE = 3  # the cluster says what is missing
    CONFESSION = 4  # the process itself said why


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Why a revision does not run.

    ``message`` is one sentence for a person; it names what failed and holds no secrets. ``model_failure`` is KServe's
    word for modelStatus.lastFailureInfo.reason. A message never holds a duration, so that the same state gives the same
    status.
    """

    reason: Reason
    message: str
    rank: Rank = Rank.SYMPTOM
    pod: str = ""
    container: str = ""
    revision: str = ""
    exit_code: int | None = None
    model_failure: str = "RuntimeUnhealthy"

    @property
    def failing(self) -> bool:
        """Whether something is wrong, as opposed to not finished yet."""
        return self.rank > Rank.WAITING
