"""What a call says beside its tensors, on the way to model code that wants to know it."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from haizen_runtime.protocol.messages import InferenceRequest

CallDetails = dict[str, Any]
"""`headers` (str to str), `id` (str or None) and `parameters`; nothing that a message to a worker could not carry."""

CALL_DETAILS: ContextVar[CallDetails | None] = ContextVar("haizen_call_details", default=None)
"""Set while the one request of such a model runs: in the server on the thread that runs it, in the worker in its
task."""

_GRPCS_OWN: Final = frozenset({"te", "content-type", "host"})
"""Headers of gRPC that are no metadata of the caller's; grpc's own (`grpc-timeout` …) are none either."""


def http_headers(headers: Mapping[bytes, bytes]) -> dict[str, str]:
    """A request's headers as text; names are lower case."""
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in headers.items()}


def grpc_metadata(headers: Mapping[bytes, bytes]) -> dict[str, str]:
    """A call's metadata as text: its headers but for those of gRPC itself."""
    named = http_headers(headers).items()
    return {name: value for name, value in named if name not in _GRPCS_OWN and not name.startswith("grpc-")}


def details_of(request: InferenceRequest) -> CallDetails:
    """Of a request whose door has set its headers."""
    return {
        "headers": dict(request.headers or {}), "id": request.id, "parameters": dict(request.parameters or {}),
    }  # fmt: skip
