"""ServingRuntime and ClusterServingRuntime, serving.kserve.io/v1alpha1: which server runs which model formats."""

from typing import Annotated, Any

from pydantic import Field

from haizen_operator.api.base import (
    Containers,
    Int32,
    KubernetesModel,
    KubernetesObject,
    StringList,
    StringMap,
    kubernetes_type,
)
from haizen_operator.api.metadata import ObjectMeta

SERVING_RUNTIME_VERSION = "serving.kserve.io/v1alpha1"


class SupportedModelFormat(KubernetesModel):
    """A model format that a runtime can load."""

    name: str = Field(description="Name of the format, such as sklearn.", max_length=253)
    version: str | None = Field(default=None, description="Version of the format, a label compared as it stands.")
    auto_select: bool | None = Field(
        default=None, description="Whether the runtime may be chosen for models that name no runtime."
    )
    priority: Int32 | None = Field(
        default=None,
        description="The runtime with the highest priority is chosen; a set one wins over none.",
        json_schema_extra={"minimum": 1},
    )


class StorageHelper(KubernetesModel):
    """ModelMesh's storage helper."""

    disabled: bool | None = Field(default=None, description="ModelMesh only, without effect here.")


class BuiltInAdapter(KubernetesModel):
    """ModelMesh's adapter to a model server; kept, without effect here."""

    server_type: str | None = Field(default=None, description="Server behind the adapter: triton, mlserver, ovms.")
    runtime_management_port: int | None = Field(default=None, description="Port of the server's management API.")
    mem_buffer_bytes: int | None = Field(default=None, description="Memory kept free, in bytes.")
    model_loading_timeout_millis: int | None = Field(default=None, description="Longest load, in milliseconds.")
    env: Annotated[list[KubernetesObject], kubernetes_type("[]EnvVar")] | None = Field(
        default=None, description="Environment of the adapter."
    )


class ServingRuntimePodSpec(KubernetesModel):
    """The pod of a runtime: containers, and the part of a PodSpec that KServe lets a runtime set."""

    containers: Containers = Field(description="Containers of the pod; the server is called kserve-container.")
    volumes: Annotated[list[KubernetesObject], kubernetes_type("[]Volume")] | None = Field(
        default=None, description="Volumes the containers may mount."
    )
    node_selector: dict[str, str] | None = Field(default=None, description="Labels a node must have.")
    affinity: Annotated[KubernetesObject, kubernetes_type("Affinity")] | None = Field(
        default=None, description="Rules for choosing nodes."
    )
    tolerations: Annotated[list[KubernetesObject], kubernetes_type("[]Toleration")] | None = Field(
        default=None, description="Node taints that are tolerated."
    )
    labels: StringMap = Field(default_factory=dict, description="Labels for the pods.")
    annotations: StringMap = Field(default_factory=dict, description="Annotations for the pods.")
    image_pull_secrets: Annotated[list[KubernetesObject], kubernetes_type("[]LocalObjectReference")] | None = Field(
        default=None, description="Secrets to pull images with."
    )
    host_ipc: bool | None = Field(default=None, alias="hostIPC", description="Shares the node's IPC namespace.")
    scheduler_name: str | None = Field(default=None, description="Scheduler to use.")
    resource_claims: Annotated[list[KubernetesObject], kubernetes_type("[]PodResourceClaim")] | None = Field(
        default=None, description="Dynamic resource claims of the pod."
    )

    def pod_spec(self) -> dict[str, Any]:
        """The pod without its containers, labels and annotations: camelCase, as the author wrote it."""
        names = {"volumes", "nodeSelector", "affinity", "tolerations"}
        names |= {"imagePullSecrets", "hostIPC", "schedulerName", "resourceClaims"}
        return {key: value for key, value in self.to_manifest().items() if key in names and value is not None}


class RuntimeWorkerSpec(ServingRuntimePodSpec):
    """The worker pods of a runtime that spreads one model over several nodes."""

    pipeline_parallel_size: int | None = Field(default=None, description="Number of nodes the layers are spread over.")
    tensor_parallel_size: int | None = Field(default=None, description="Number of GPUs a layer is spread over.")


class ServingRuntimeSpec(ServingRuntimePodSpec):
    """A server, the model formats it loads and the protocols it speaks."""

    supported_model_formats: list[SupportedModelFormat] = Field(
        default_factory=list, description="The model formats the server can load.", max_length=128
    )
    protocol_versions: StringList = Field(
        default_factory=list, description="Protocols the server speaks: v1, v2, grpc-v1, grpc-v2; empty for any."
    )
    multi_model: bool | None = Field(
        default=None, description="Whether the server is for ModelMesh; such a runtime is never chosen here."
    )
    disabled: bool | None = Field(default=None, description="Takes the runtime out of use.")
    worker_spec: RuntimeWorkerSpec | None = Field(default=None, description="Worker pods for models on several nodes.")
    grpc_endpoint: str | None = Field(default=None, description="ModelMesh only, without effect here.")
    grpc_data_endpoint: str | None = Field(default=None, description="ModelMesh only, without effect here.")
    http_data_endpoint: str | None = Field(default=None, description="ModelMesh only, without effect here.")
    replicas: int | None = Field(default=None, description="ModelMesh only, without effect here.")
    storage_helper: StorageHelper | None = Field(default=None, description="ModelMesh only, without effect here.")
    built_in_adapter: BuiltInAdapter | None = Field(default=None, description="ModelMesh only, without effect here.")


class ServingRuntime(KubernetesModel):
    """A runtime for the InferenceServices of its own namespace."""

    api_version: str = Field(default=SERVING_RUNTIME_VERSION, description="serving.kserve.io/v1alpha1.")
    kind: str = Field(default="ServingRuntime", description="ServingRuntime or ClusterServingRuntime.")
    metadata: ObjectMeta = Field(default_factory=ObjectMeta, description="Name, namespace, labels, annotations.")
    spec: ServingRuntimeSpec = Field(description="The server and what it can load.")
    status: dict[str, Any] = Field(default_factory=dict, description="KServe defines no fields here.")


class ClusterServingRuntime(ServingRuntime):
    """A runtime for the InferenceServices of every namespace."""

    kind: str = Field(default="ClusterServingRuntime", description="ClusterServingRuntime.")
