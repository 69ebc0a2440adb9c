"""Which scope a request needs. Pure: one table for HTTP's endpoints and gRPC's methods.

What is in neither table needs a key for inference, so a new path is closed until somebody opens it here.
"""

from __future__ import annotations

from enum import Enum
from typing import Final


class Scope(Enum):
    """What a key is for."""

    INFERENCE = "inference"
    """Inference, and the metadata that it needs."""
    METRICS = "metrics"
    """/metrics."""
    ADMIN = "admin"
    """Everything, loading and unloading models among it."""


PUBLIC_ENDPOINTS: Final = frozenset(("root", "live", "ready"))
"""Kubelets, load balancers and platforms probe these, and cannot carry a key. They tell nothing about any model."""

PUBLIC_METHODS: Final = frozenset((
    "/inference.GRPCInferenceService/ServerLive",
    "/inference.GRPCInferenceService/ServerReady",
    "/grpc.health.v1.Health/Check",
    "/grpc.health.v1.Health/Watch",
))  # fmt: skip

ENDPOINT_SCOPES: Final = {"metrics": Scope.METRICS, "v2.load": Scope.ADMIN, "v2.unload": Scope.ADMIN}

METHOD_SCOPES: Final = {
    "/inference.GRPCInferenceService/RepositoryModelLoad": Scope.ADMIN,
    "/inference.GRPCInferenceService/RepositoryModelUnload": Scope.ADMIN,
}


def scope_of_endpoint(endpoint: str | None) -> Scope | None:
    """What an HTTP endpoint (its name in the routing; None for an unknown path) needs; None when it is public."""
    if endpoint in PUBLIC_ENDPOINTS:
        return None
    return ENDPOINT_SCOPES.get(endpoint or "", Scope.INFERENCE)


def scope_of_method(path: str) -> Scope | None:
    """What a gRPC method, known or not, needs; None when it is public."""
    if path in PUBLIC_METHODS:
        return None
    return METHOD_SCOPES.get(path, Scope.INFERENCE)


def allows(scopes: frozenset[Scope], needed: Scope) -> bool:
    """Whether a key with these scopes may do it."""
    return needed in scopes or Scope.ADMIN in scopes
