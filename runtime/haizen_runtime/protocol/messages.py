"""The request and the answer that every door decodes to and encodes from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from haizen_runtime.engine.timing import BatchTiming

Scalar = str | int | float | bool
"""What a parameter's value may be (Open Inference Protocol)."""


@dataclass(slots=True)
class Tensor:
    """A named tensor. `data` has exactly `shape`; for BYTES it is an object array of `bytes`."""

    name: str
    datatype: str
    """A datatype of the Open Inference Protocol: BOOL, INT8 ... FP64, BYTES."""
    shape: tuple[int, ...]
    data: np.ndarray[Any, Any]
    parameters: Mapping[str, Scalar] | None = None


@dataclass(slots=True, frozen=True)
class RequestedOutput:
    """An output the caller asked for by name."""

    name: str
    parameters: Mapping[str, Scalar] | None = None


@dataclass(slots=True, frozen=True)
class SequencePosition:
    """Which conversation a request belongs to, and whether it opens or closes it."""

    id: str | int
    start: bool = False
    end: bool = False


@dataclass(slots=True)
class InferenceRequest:
    """One call for one model. Times are seconds on the event loop's monotonic clock."""

    model: str
    inputs: list[Tensor]
    version: str | None = None
    id: str | None = None
    outputs: list[RequestedOutput] | None = None
    """None means all outputs."""
    parameters: Mapping[str, Scalar] | None = None
    deadline: float | None = None
    """When nobody is interested any more; None for never."""
    priority: int = 0
    """Lower runs first; 0 is the usual one."""
    queue_timeout: float | None = None
    """How many seconds it wants to wait for its turn at most; None for as long as the model's queue lets it."""
    sequence: SequencePosition | None = None
    is_cancelled: Callable[[], bool] | None = None
    """Answers whether the client is gone. Cheap; asked while a request waits, or runs where that can be ended."""
    timing: BatchTiming | None = None
    """Filled in when its batch runs, if somebody set it."""
    headers: Mapping[str, str] | None = None
    """Of the call, or gRPC's metadata; set for models that take them only."""


@dataclass(slots=True)
class InferenceResponse:
    """One answer. A streaming model gives many, the last one with `final` set."""

    model: str
    version: str | None
    outputs: list[Tensor]
    id: str | None = None
    parameters: Mapping[str, Scalar] | None = None
    final: bool = True
    headers: Mapping[str, str] | None = None
    """What a model wants to be sent beside it over HTTP."""


@dataclass(slots=True, frozen=True)
class TensorMetadata:
    """What a model says about an input or output; -1 in the shape stands for any size."""

    name: str
    datatype: str
    shape: tuple[int, ...]

    def as_json(self) -> dict[str, Any]:
        """The Open Inference Protocol's form."""
        return {"name": self.name, "datatype": self.datatype, "shape": list(self.shape)}


@dataclass(slots=True, frozen=True)
class ModelMetadata:
    """What a model says about itself."""

    platform: str
    inputs: tuple[TensorMetadata, ...]
    outputs: tuple[TensorMetadata, ...]
    any_input_name: bool = False
    """True for libraries that take one anonymous matrix: the caller's input names do not matter."""
    any_datatype: bool = False
    """True for libraries that take any numeric matrix: the input's datatype is the usual one, not a must."""
    properties: Mapping[str, Scalar] = field(default_factory=dict)
