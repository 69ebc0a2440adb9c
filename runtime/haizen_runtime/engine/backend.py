"""The seam between the engine and a model library. Each backend is one file in `haizen_runtime.backends`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from haizen_runtime.engine.metrics import WorkerUsage
from haizen_runtime.protocol.messages import ModelMetadata

if TYPE_CHECKING:
    import numpy as np

    from haizen_runtime.engine.streams import Answers
    from haizen_runtime.protocol.messages import Scalar

    Arrays = Mapping[str, np.ndarray[Any, Any]]


class Backend(ABC):
    """A loaded model. `execute` is called from one thread at a time unless `concurrent` is set."""

    metadata: ModelMetadata
    batchable: bool = True
    """Whether the first axis of every input and output is a batch axis with independent rows."""
    concurrent: bool = False
    """Whether `execute` may run in several threads at once."""
    cheap: bool = False
    """Whether the model is of a listed kind whose `execute` is so short that it may run on the event loop."""
    instances: int = 0
    """How many calls of `execute` it can run at once, where it knows; 0: what the settings or the CPUs say."""
    max_batch_rows: int = 0
    """The most rows it takes as one batch; 0: what the settings say."""
    takes_anything: bool = False
    """Whether it takes inputs of any name, datatype and shape: nothing is known about them, so nothing is checked."""

    cancellable: bool = False
    """Whether `execute` and `explain` end early when nobody waits any more, if told (scheduling/cancellation.py)."""

    @abstractmethod
    def execute(self, inputs: Arrays, outputs: Sequence[str] | None) -> dict[str, np.ndarray[Any, Any]]:
        """Run the model on arrays by input name; `outputs` None means all.

        Raises InvalidInput when the library says that the values themselves are wrong (NaN where it takes none).
        """

    @abstractmethod
    def sample(self, rows: int) -> Arrays | None:
        """Inputs of the right shape and datatype for a warm-up, or None when nothing can be made up."""

    explains: bool = False
    """Whether it has `explain`."""
    decoupled: bool = False
    """Whether it gives any number of answers to a request (Triton's word): `stream` is called then, never `execute`."""

    def explain(self, inputs: Arrays, outputs: Sequence[str] | None) -> dict[str, np.ndarray[Any, Any]]:
        """Explain a prediction; gives the body of a v1 answer (json_bodies.py). Raises RequestError."""
        raise NotImplementedError

    def stream(
        self, inputs: Arrays, outputs: Sequence[str] | None, parameters: Mapping[str, Scalar], answers: Answers
    ) -> None:
        """Put each answer into `answers`; returns after the last, or once nobody reads them. Raises RequestError."""
        raise NotImplementedError

    takes_headers: bool = False
    """Whether its code wants to know what the call says beside the tensors (call_details.py): then each runs alone."""
    takes_json: bool = False
    """Whether it takes the body of a v1 request as it is (json_bodies.py)."""

    @property
    def problem(self) -> str | None:
        """Why it cannot answer any more, until that is over; None when it can."""
        return None

    def workers(self) -> Sequence[WorkerUsage]:
        """Its worker processes; none for a library in this process."""
        return ()

    def close(self) -> None:
        """Let go of memory and threads."""
        return
