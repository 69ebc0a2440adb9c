"""What is measured: a model, a door and a number of connections."""

from dataclasses import dataclass
from enum import StrEnum


class Door(StrEnum):
    """How a request comes."""

    JSON = "v2 JSON"
    BINARY = "v2 JSON with binary data"
    GRPC = "gRPC, raw contents"


class Model(StrEnum):
    """What is asked."""

    IRIS = "iris"
    """scikit-learn's logistic regression, one row a request."""
    IMAGE = "image"
    """FP32 [1,3,224,224], answered as it came."""
    COMPUTE = "compute"
    """Python code that computes for milliseconds."""


@dataclass(frozen=True, slots=True)
class Case:
    """One measurement; closed loop: every connection has one request under way."""

    name: str
    model: Model
    door: Door
    connections: int


CASES = (
    Case("iris-64", Model.IRIS, Door.JSON, 64),
    Case("iris-16", Model.IRIS, Door.JSON, 16),
    Case("iris-1", Model.IRIS, Door.JSON, 1),
    Case("iris-grpc-64", Model.IRIS, Door.GRPC, 64),
    Case("image-binary", Model.IMAGE, Door.BINARY, 4),
    Case("image-json", Model.IMAGE, Door.JSON, 4),
    Case("image-grpc", Model.IMAGE, Door.GRPC, 4),
    Case("two-processes", Model.COMPUTE, Door.JSON, 8),
)
OTHERS = ("start", "memory", "onnx-cnn")
"""Measurements that are no load on one server."""


def named(name: str) -> Case:
    """The case of that name. Raises KeyError."""
    return {case.name: case for case in CASES}[name]
