"""The part of an object's metadata that the operator reads."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from haizen_operator.api.base import KubernetesModel, StringList, StringMap


def _timestamp(value: Any) -> Any:
    # YAML reads an unquoted timestamp as a datetime; the API's JSON has a string.
    return value.strftime("%Y-%m-%dT%H:%M:%SZ") if isinstance(value, datetime) else value


Timestamp = Annotated[str, BeforeValidator(_timestamp)]


class ObjectMeta(KubernetesModel):
    """Kubernetes' ObjectMeta, narrowed to what we read; the rest is kept as it came."""

    name: str = Field(default="", description="Name of the object, unique in its namespace.")
    namespace: str | None = Field(default=None, description="Namespace of the object; none for a cluster-wide kind.")
    uid: str | None = Field(default=None, description="Identity of this very object, given by the API server.")
    generation: int | None = Field(default=None, description="Counts the changes of spec, given by the API server.")
    resource_version: str | None = Field(default=None, description="Version for optimistic locking.")
    labels: StringMap = Field(default_factory=dict, description="Labels of the object.")
    annotations: StringMap = Field(default_factory=dict, description="Annotations of the object.")
    finalizers: StringList = Field(default_factory=list, description="What must happen before the object may go.")
    creation_timestamp: Timestamp | None = Field(default=None, description="RFC 3339 time of creation.")
    deletion_timestamp: Timestamp | None = Field(default=None, description="Set while the object is being deleted.")
