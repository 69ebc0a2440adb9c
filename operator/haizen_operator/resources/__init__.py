"""Pure functions that make Kubernetes objects: objects in, dict out, the same input gives the same bytes."""

from haizen_operator.resources.credentials import secret_names, service_account_name, storage_access
from haizen_operator.resources.errors import ResourceError, ResourceProblem
from haizen_operator.resources.features import KnativeProblem, knative_problems, missing_features, refused_fields
from haizen_operator.resources.hashing import object_hash, template_hash, with_object_hash
from haizen_operator.resources.initializer import keep_running_initializer
from haizen_operator.resources.knative_service import make_predictor_service, owner_reference
from haizen_operator.resources.storage_access import NO_ACCESS, StorageAccess
from haizen_operator.resources.support import Finding, not_supported_yet, without_effect

__all__ = [
    "NO_ACCESS",
    "Finding",
    "KnativeProblem",
    "ResourceError",
    "ResourceProblem",
    "StorageAccess",
    "keep_running_initializer",
    "knative_problems",
    "make_predictor_service",
    "missing_features",
    "not_supported_yet",
    "object_hash",
    "owner_reference",
    "refused_fields",
    "secret_names",
    "service_account_name",
    "storage_access",
    "template_hash",
    "with_object_hash",
    "without_effect",
]
