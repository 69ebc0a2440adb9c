"""Why no Knative Service can be made from a spec: one typed error, worded for a condition."""

from enum import StrEnum


class ResourceProblem(StrEnum):
    """Reasons for a condition when a spec cannot be turned into objects."""

    INVALID_PREDICTOR_SPEC = "InvalidPredictorSpec"
    UNSUPPORTED_STORAGE_URI = "UnsupportedStorageUri"
    INVALID_STORAGE = "InvalidStorage"
    NOT_SUPPORTED_YET = "NotSupportedYet"


class ResourceError(ValueError):
    """A spec that gives no object; ``reason`` and ``message`` go into a condition, ``field`` says where to look."""

    def __init__(self, reason: ResourceProblem, field: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.field = field
        self.message = message
