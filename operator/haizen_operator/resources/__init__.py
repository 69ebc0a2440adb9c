"""Pure functions that make Kubernetes objects: objects in, dict out, the same input gives the same bytes."""

from haizen_operator.resources.credentials import secret_names, service_account_name, storage_access
from haizen_operator.resources.errors import ResourceError, ResourceProblem
from haizen_operator.resources.hashing import object_hash, template_hash, with_object_hash
from haizen_operator.resources.knative_service import make_predictor_service, owner_reference
from haizen_operator.resources.storage_access import NO_ACCESS, StorageAccess

__all__ = [
    "NO_ACCESS",
    "ResourceError",
    "ResourceProblem",
    "StorageAccess",
    "make_predictor_service",
    "object_hash",
    "owner_reference",
    "secret_names",
    "service_account_name",
    "storage_access",
    "template_hash",
    "with_object_hash",
]
