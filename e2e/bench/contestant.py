"""What a contestant is: a name, the doors that it has for each model, and how it is launched."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from e2e.bench.bars import FLOOR, OURS, PEER
from e2e.bench.cases import Case, Door, Model

__all__ = ["FLOOR", "OURS", "PEER", "Contestant", "Launch", "Place"]

APPS = Path(__file__).parent / "apps"
HTTP_ONLY = frozenset({Door.JSON})
JSON_AND_GRPC = frozenset({Door.JSON, Door.GRPC})
ALL_DOORS = frozenset(Door)


@dataclass(frozen=True, slots=True)
class Place:
    """Where one start of a contestant happens."""

    model: Model
    folder: Path
    """Empty, and of this start only."""
    python: Path
    http_port: int
    grpc_port: int
    model_folder: Path
    """Holds the model: model.joblib for iris, written by the contestant's own library; model.onnx for images."""
    answers: Path
    """Inputs with their right answers, for contestants that have no model."""

    @property
    def model_file(self) -> Path:
        """The one file in the model's folder."""
        return next(self.model_folder.iterdir())


@dataclass(frozen=True, slots=True)
class Launch:
    """A command, and where it will answer."""

    command: Sequence[str | Path]
    http_port: int = 0
    grpc_port: int = 0
    environment: Mapping[str, str] = field(default_factory=dict)
    path: str = ""
    """Of inference over HTTP; empty: the protocol's own."""
    input_name: str = "rows"


@dataclass(frozen=True, slots=True)
class Contestant:
    """One way of running one server."""

    name: str
    role: str
    launch: Callable[[Place], Launch]
    doors: Mapping[Model, frozenset[Door]]
    environment: str = ""
    """The name of its list of requirements (`environments.LOCKED`: haizen's); empty: the environment this runs in."""
    start_seconds: float = 2.0
    """About how long it takes to start and to end, for the plan."""
    cores: frozenset[int] = frozenset({0})
    family: str = ""
    """What `--peers` calls it, where its name says more."""

    def takes(self, case: Case) -> bool:
        """Whether a case can be asked of it."""
        return case.door in self.doors.get(case.model, frozenset())
