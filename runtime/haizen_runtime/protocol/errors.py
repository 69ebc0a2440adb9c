"""Every error that a caller or an operator of the runtime can see, with its status code or exit code, in one place.

HaizenError
  RequestError            the answer to one request; `status` is the HTTP status, `grpc_status` gRPC's
    InvalidInput 400, MalformedMessage 400, DecoupledModel 400, Unauthenticated 401, Forbidden 403,
    RouteNotFound 404, ModelNotFound 404, VersionNotFound 404, ServiceNotFound 404, MethodNotAllowed 405,
    RequestTimeout 408, PayloadTooLarge 413, UnsupportedMedia 415, ClientGone 499, InferenceFailed 500,
    ReloadFailed 500, ExplainNotImplemented 501, ModelNotReady 503, QueueFull 503, QueueTimeout 503,
    DeadlineExceeded 504
  StartError              ends the process; `reason` and `exit_code` go into the termination message
    InvalidConfiguration 2, ModelLoadFailed 3, ModelDownloadFailed 4, ChecksumMismatch 4, UntrustedFormat 5,
    BackendMissing 6
"""

from __future__ import annotations

from enum import IntEnum
from typing import ClassVar


class GrpcStatus(IntEnum):
    """gRPC's status codes, as far as they are used here."""

    OK = 0
    CANCELLED = 1
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    UNAUTHENTICATED = 16


class HaizenError(Exception):
    """The root of the runtime's own errors. The message is written for the person who reads it."""

    @property
    def message(self) -> str:
        """The text for the user."""
        return str(self.args[0]) if self.args else type(self).__name__


class RequestError(HaizenError):
    """An error that answers one request and leaves the server as it was."""

    status: ClassVar[int] = 500
    """HTTP status code."""
    grpc_status: ClassVar[GrpcStatus] = GrpcStatus.INTERNAL
    """gRPC status code."""
    retry_after_seconds: int | None = None
    """Sent as Retry-After when set."""


class InvalidInput(RequestError):
    """The request itself is wrong: its JSON, a name, a datatype, a shape or a value."""

    status = 400
    grpc_status = GrpcStatus.INVALID_ARGUMENT


class MalformedMessage(InvalidInput):
    """A gRPC frame or protobuf message that cannot be read; gRPC's own servers answer INTERNAL then, and so do we."""

    grpc_status = GrpcStatus.INTERNAL


class Unauthenticated(RequestError):
    """The request carries no API key that is known here."""

    status = 401
    grpc_status = GrpcStatus.UNAUTHENTICATED


class Forbidden(RequestError):
    """Whoever asks is known and may not do this, or nobody may."""

    status = 403
    grpc_status = GrpcStatus.PERMISSION_DENIED


class RouteNotFound(RequestError):
    """No such path."""

    status = 404
    grpc_status = GrpcStatus.UNIMPLEMENTED


class ModelNotFound(RequestError):
    """No model of that name."""

    status = 404
    grpc_status = GrpcStatus.NOT_FOUND

    def __init__(self, name: str) -> None:
        super().__init__(f"Model with name {_shorten(name)} does not exist.")


class VersionNotFound(RequestError):
    """The model exists, the version does not."""

    status = 404
    grpc_status = GrpcStatus.NOT_FOUND

    def __init__(self, name: str, version: str, known: list[str]) -> None:
        versions = ", ".join(known) or "none"
        super().__init__(f"Model {_shorten(name)} has no version {_shorten(version)}; the versions it has: {versions}.")


class ServiceNotFound(RequestError):
    """The health service knows no service of that name."""

    status = 404
    grpc_status = GrpcStatus.NOT_FOUND

    def __init__(self, name: str) -> None:
        super().__init__(f"There is no service {_shorten(name)} here.")


class MethodNotAllowed(RequestError):
    """The path exists for other methods."""

    status = 405
    grpc_status = GrpcStatus.UNIMPLEMENTED

    def __init__(self, method: str, allowed: str) -> None:
        super().__init__(f"Method {_shorten(method)} is not allowed here; use {allowed}.")
        self.allowed = allowed


class RequestTimeout(RequestError):
    """The client did not send its body in time."""

    status = 408
    grpc_status = GrpcStatus.DEADLINE_EXCEEDED


class PayloadTooLarge(RequestError):
    """The body, as sent or decompressed, is over its limit."""

    status = 413
    grpc_status = GrpcStatus.RESOURCE_EXHAUSTED


class UnsupportedMedia(RequestError):
    """A content type or encoding that the door cannot read."""

    status = 415
    grpc_status = GrpcStatus.UNIMPLEMENTED


class ClientGone(RequestError):
    """Nobody waits for this answer any more."""

    status = 499
    grpc_status = GrpcStatus.CANCELLED


class InferenceFailed(RequestError):
    """The model failed on a request that was well formed."""

    status = 500


class ReloadFailed(RequestError):
    """The new files of a model cannot be loaded; the former ones go on serving."""

    status = 500


class DecoupledModel(RequestError):
    """The door gives one answer, the model any number of them; Triton's gRPC status."""

    status = 400
    grpc_status = GrpcStatus.UNIMPLEMENTED

    def __init__(self, name: str) -> None:
        short = _shorten(name)
        super().__init__(
            f"Model {short} streams its answers (decoupled): use POST /v2/models/{short}/generate_stream, "
            "or ModelStreamInfer over gRPC."
        )


class ExplainNotImplemented(RequestError):
    """The model has no explain; status and the beginning of the text are KServe's."""

    status = 501
    grpc_status = GrpcStatus.UNIMPLEMENTED

    def __init__(self, name: str) -> None:
        super().__init__(f"Could not find explainer_host. Model {_shorten(name)} has no method explain.")


class ModelNotReady(RequestError):
    """The model is known and cannot answer now."""

    status = 503
    grpc_status = GrpcStatus.UNAVAILABLE
    retry_after_seconds = 1


class QueueFull(RequestError):
    """More requests wait than the model's queue may hold."""

    status = 503
    grpc_status = GrpcStatus.UNAVAILABLE
    retry_after_seconds = 1


class QueueTimeout(RequestError):
    """The request waited longer than the model's queue lets requests wait."""

    status = 503
    grpc_status = GrpcStatus.UNAVAILABLE
    retry_after_seconds = 1


class DeadlineExceeded(RequestError):
    """The answer was not there in the time the request allowed."""

    status = 504
    grpc_status = GrpcStatus.DEADLINE_EXCEEDED


class StartError(HaizenError):
    """An error that keeps the process from serving. Reason and exit code are a contract with the operator."""

    reason: ClassVar[str] = "ModelLoadFailed"
    exit_code: ClassVar[int] = 3


class InvalidConfiguration(StartError):
    """An argument or an environment variable is wrong."""

    reason = "InvalidConfiguration"
    exit_code = 2


class ModelLoadFailed(StartError):
    """The model's files are there and cannot be loaded."""


class ModelDownloadFailed(StartError):
    """The model's files could not be brought here."""

    reason = "ModelDownloadFailed"
    exit_code = 4


class ChecksumMismatch(StartError):
    """The files that came are not the files that were promised."""

    reason = "ChecksumMismatch"
    exit_code = 4


class UntrustedFormat(StartError):
    """The format can carry code and nobody allowed it."""

    reason = "UntrustedFormat"
    exit_code = 5


class BackendMissing(StartError):
    """The library that reads this format is not installed."""

    reason = "BackendMissing"
    exit_code = 6


def _shorten(text: str, limit: int = 80) -> str:
    """Names come from the wire: a megabyte of them must not come back in an error."""
    return text if len(text) <= limit else f"{text[:limit]}…"
