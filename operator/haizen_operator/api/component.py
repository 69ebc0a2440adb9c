"""What predictor, transformer and explainer have in common (KServe's ComponentExtensionSpec)."""

from typing import Any, Literal

from pydantic import Field

from haizen_operator.api.autoscaling import AutoScalingSpec, DeploymentStrategy, MetricTargetType
from haizen_operator.api.base import Containers, Int32, Int64, KubernetesModel, StringMap


class LoggerStorage(KubernetesModel):
    """Where logged payloads are stored."""

    path: str | None = Field(default=None, description="Path in the bucket.")
    parameters: dict[str, str] | None = Field(default=None, description="Parameters of the store, such as its type.")
    key: str | None = Field(default=None, description="Key of the storage secret to use.")
    service_account_name: str | None = Field(default=None, description="ServiceAccount that may write to the store.")


class LoggerSpec(KubernetesModel):
    """Sends a copy of requests and responses to a sink."""

    url: str | None = Field(default=None, description="URL of the sink.")
    mode: Literal["all", "request", "response"] | None = Field(
        default=None, description="What is logged: all, request or response."
    )
    metadata_headers: list[str] | None = Field(default=None, description="Request headers to log as metadata.")
    metadata_annotations: list[str] | None = Field(default=None, description="Annotations to log as metadata.")
    storage: LoggerStorage | None = Field(default=None, description="Where payloads are stored.")
    marshaller_url: str | None = Field(default=None, description="URL of a service that encodes the payloads.")
    batch_size: int | None = Field(default=None, description="Payloads in one stored object.")
    batch_interval: str | None = Field(default=None, description="Longest wait for a full object, such as 10s.")


class Batcher(KubernetesModel):
    """Joins requests into batches before the model."""

    max_batch_size: int | None = Field(default=None, description="Most instances in one batch.")
    max_latency: int | None = Field(default=None, description="Longest wait for a full batch, in milliseconds.")
    timeout: int | None = Field(default=None, description="Timeout of a batch in seconds. KServe never reads it.")


class StorageUri(KubernetesModel):
    """One of several models (or data sets) to download."""

    uri: str = Field(description="URI of the model, such as s3://bucket/path.", min_length=1, max_length=4096)
    mount_path: str | None = Field(
        default=None,
        description="Absolute path where the files appear; /mnt/models if left out.",
        pattern=r"^/.*",
        max_length=255,
    )


class ComponentSpec(KubernetesModel):
    """Fields of every component: scaling, logging, batching, labels, and an inline PodSpec."""

    inlined_type = "PodSpec"

    containers: Containers = Field(
        default_factory=list, description="Containers of a component that brings its own server."
    )
    storage_uris: list[StorageUri] | None = Field(
        default=None, description="Several models to download, each to its own path.", min_length=1, max_length=32
    )
    min_replicas: Int32 | None = Field(
        default=None, description="Least number of pods; 1 if left out, 0 to scale to zero when idle."
    )
    max_replicas: Int32 | None = Field(default=None, description="Most pods; 0 or left out for no limit.")
    scale_target: Int32 | None = Field(default=None, description="Value of scaleMetric that one pod is to carry.")
    scale_metric: Literal["cpu", "memory", "concurrency", "rps"] | None = Field(
        default=None, description="What scaling looks at: concurrency or rps (Knative), cpu or memory (Standard)."
    )
    scale_metric_type: MetricTargetType | None = Field(
        default=None, description="How scaleTarget is stated. KServe never reads it."
    )
    autoscaling: AutoScalingSpec | None = Field(
        default=None, alias="autoScaling", description="Scaling by several metrics (Standard mode only)."
    )
    container_concurrency: Int64 | None = Field(
        default=None, description="Most requests in flight in one pod; 0 for no limit. More wait in a queue."
    )
    timeout: Int64 | None = Field(default=None, description="Seconds a request may take before it is cut off.")
    canary_traffic_percent: Int64 | None = Field(
        default=None,
        description="Percent of the traffic for the latest revision; the rest goes to the one rolled out before.",
    )
    logger: LoggerSpec | None = Field(default=None, description="Sends a copy of requests and responses to a sink.")
    batcher: Batcher | None = Field(default=None, description="Joins requests into batches before the model.")
    labels: StringMap = Field(default_factory=dict, description="Labels for the component's pods.")
    annotations: StringMap = Field(default_factory=dict, description="Annotations for the component's pods.")
    deployment_strategy: DeploymentStrategy | None = Field(
        default=None, description="How a Deployment replaces its pods (Standard mode only)."
    )

    def pod_spec(self) -> dict[str, Any]:
        """The inline PodSpec without ``containers``: camelCase, as the user wrote it."""
        return self._inlined()


class WorkerSpec(KubernetesModel):
    """Further nodes of a model that is spread over several: an inline PodSpec and how it is spread."""

    inlined_type = "PodSpec"

    containers: Containers = Field(default_factory=list, description="Containers of the worker pods.")
    pipeline_parallel_size: int | None = Field(default=None, description="Number of nodes the layers are spread over.")
    tensor_parallel_size: int | None = Field(default=None, description="Number of GPUs a layer is spread over.")

    def pod_spec(self) -> dict[str, Any]:
        """The inline PodSpec without ``containers``: camelCase, as the user wrote it."""
        return self._inlined()
