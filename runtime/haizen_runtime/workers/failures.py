"""Exceptions of model code as status and message, and back into errors that answer a request."""

from __future__ import annotations

from functools import cache
from typing import Final

from haizen_runtime.protocol.errors import (
    DeadlineExceeded,
    GrpcStatus,
    InferenceFailed,
    InvalidInput,
    ModelNotReady,
    PayloadTooLarge,
    RequestError,
)

MAX_MESSAGE: Final = 2000
KSERVE_STATUS: Final = {
    "InvalidInput": 400,
    "ModelNotFound": 404,
    "InferenceError": 500,
    "ModelNotReady": 503,
    "ServerNotReady": 503,
    "ServerNotLive": 503,
    "UnsupportedProtocol": 501,
}
"""KServe's rule: its exceptions (kserve.errors) and the status that its REST server answers with; 501 is
NotImplementedError's."""
NOT_IMPLEMENTED: Final = 501
_KNOWN: Final[dict[int, type[RequestError]]] = {
    400: InvalidInput,
    413: PayloadTooLarge,
    500: InferenceFailed,
    503: ModelNotReady,
    504: DeadlineExceeded,
}
_GRPC: Final = {
    404: GrpcStatus.NOT_FOUND,
    408: GrpcStatus.DEADLINE_EXCEEDED,
    429: GrpcStatus.RESOURCE_EXHAUSTED,
    NOT_IMPLEMENTED: GrpcStatus.UNIMPLEMENTED,
}


class WorkerLost(ModelNotReady):
    """The process that worked on the request ended; the request may be sent again."""


def described(error: BaseException) -> tuple[int, str]:
    """The HTTP status and the message, without a traceback, that an exception of model code is answered with."""
    status, text = _described(error)
    return status, sendable(text)


def sendable(text: str) -> str:
    """Text without what UTF-8 cannot carry."""
    return text.encode("utf-8", "replace").decode()


def _described(error: BaseException) -> tuple[int, str]:
    text = (str(error).strip() or type(error).__name__)[:MAX_MESSAGE]
    if isinstance(error, RequestError):
        return error.status, error.message[:MAX_MESSAGE]
    for base in type(error).__mro__:
        module, name = base.__module__, base.__name__
        if module.startswith("kserve.") and name in KSERVE_STATUS:
            return KSERVE_STATUS[name], text
        if name == "HTTPException" and module in ("starlette.exceptions", "fastapi.exceptions"):
            status, detail = getattr(error, "status_code", 500), getattr(error, "detail", text)
            return (status if isinstance(status, int) and 400 <= status < 600 else 500), str(detail)[:MAX_MESSAGE]
        if base is NotImplementedError:
            return NOT_IMPLEMENTED, text
        if base is MemoryError or name == "OutOfMemoryError":
            return 503, "The model ran out of memory on this request."
    if isinstance(error, SystemExit):
        return 500, "The model failed: its code called sys.exit."
    first_line = text.splitlines()[0][:300]
    return 500, "The model failed: " + (first_line if text == type(error).__name__ else _named(error, first_line))


def as_error(status: object, message: object) -> RequestError:
    """The error for a status that a worker sent; 4xx and 5xx are kept, anything else is 500."""
    code = status if isinstance(status, int) and 400 <= status < 600 else 500
    return _error_class(code)(str(message)[:MAX_MESSAGE])


def _named(error: BaseException, line: str) -> str:
    return f"{type(error).__name__}: {line}"


@cache
def _error_class(status: int) -> type[RequestError]:
    if status in _KNOWN:
        return _KNOWN[status]
    grpc_status = _GRPC.get(status, GrpcStatus.INVALID_ARGUMENT if status < 500 else GrpcStatus.INTERNAL)
    text = f"Model code answered with status {status}."
    return type(
        f"ModelStatus{status}", (RequestError,), {"status": status, "grpc_status": grpc_status, "__doc__": text}
    )
