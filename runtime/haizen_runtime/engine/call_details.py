"""What a call says beside its tensors, on the way to model code that wants to know it, and what its answer says."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from haizen_runtime.protocol.messages import Scalar

if TYPE_CHECKING:
    from haizen_runtime.protocol.messages import InferenceRequest, InferenceResponse

CallDetails = dict[str, Any]
"""`headers` (str to str), `id` (str or None) and `parameters`; nothing that a message to a worker could not carry."""

CALL_DETAILS: ContextVar[CallDetails | None] = ContextVar("haizen_call_details", default=None)
"""Set while the one request of such a model runs: in the server on the thread that runs it, in the worker in its
task."""

AnswerDetails = dict[str, Any]
"""`headers` (str to str), `id` (str or None), `parameters` (str to Scalar), and `outputs` (such parameters by name)."""

ANSWER_DETAILS: ContextVar[AnswerDetails | None] = ContextVar("haizen_answer_details", default=None)
"""Set where `CALL_DETAILS` is, by model code whose answer says more than its tensors."""

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


def checked_answer(details: Any) -> AnswerDetails:
    """What came as an answer's details, unless it is nothing of the kind. Raises ValueError."""
    headers, identifier = details["headers"], details["id"]
    if not all(isinstance(text, str) for pair in headers.items() for text in pair):
        raise ValueError("headers that are no text")
    if identifier is not None and not isinstance(identifier, str):
        raise ValueError("an id that is no text")
    for parameters in (details["parameters"], *details["outputs"].values()):
        if not all(isinstance(name, str) and isinstance(value, Scalar) for name, value in parameters.items()):
            raise ValueError("parameters that are neither text nor numbers nor booleans")
    checked: AnswerDetails = details
    return checked


def add_details(response: InferenceResponse, details: AnswerDetails) -> None:
    """Put into an answer what its model says beside the tensors. The id is the request's, if that has one."""
    response.headers = details["headers"] or None
    response.parameters = details["parameters"] or None
    if response.id is None:
        response.id = details["id"]
    for tensor in response.outputs:
        tensor.parameters = details["outputs"].get(tensor.name)
