"""The status of an InferenceService, for its documentation in the CRD; the operator builds it as a plain dict.

Every object keeps fields that are not named here: KServe's status may hold more.
"""

from pydantic import Field

from haizen_operator.api.base import Int32, Int64, KubernetesModel


class Address(KubernetesModel):
    """An address inside the cluster."""

    url: str | None = Field(default=None, description="URL inside the cluster.")


class Condition(KubernetesModel):
    """One aspect of the state."""

    type: str = Field(description="The aspect, such as Ready or PredictorReady.")
    status: str = Field(description="True, False or Unknown.")
    reason: str | None = Field(default=None, description="The cause in one word.")
    message: str | None = Field(default=None, description="The cause for people.")
    severity: str | None = Field(default=None, description="Empty for an error, or Info.")
    last_transition_time: str | None = Field(default=None, description="When status changed last.")


class TrafficTarget(KubernetesModel):
    """A share of the traffic."""

    revision_name: str | None = Field(default=None, description="The revision that answers.")
    latest_revision: bool | None = Field(default=None, description="Whether that is the latest ready revision.")
    percent: Int64 | None = Field(default=None, description="Percent of the traffic.")
    tag: str | None = Field(default=None, description="Tag with an URL of its own.")
    url: str | None = Field(default=None, description="URL of the tag.")


class ComponentStatus(KubernetesModel):
    """The state of one component."""

    url: str | None = Field(default=None, description="URL of the component.")
    rest_url: str | None = Field(default=None, description="URL for REST.")
    grpc_url: str | None = Field(default=None, description="URL for gRPC.")
    address: Address | None = Field(default=None, description="Address inside the cluster.")
    latest_ready_revision: str | None = Field(default=None, description="The latest revision that became ready.")
    latest_created_revision: str | None = Field(default=None, description="The latest revision that was made.")
    latest_rolledout_revision: str | None = Field(
        default=None, description="The latest revision that has had all the traffic."
    )
    previous_rolledout_revision: str | None = Field(
        default=None, description="The revision that had all the traffic before that one."
    )
    traffic: list[TrafficTarget] | None = Field(default=None, description="How the traffic is split.")


class ModelStates(KubernetesModel):
    """Whether the model is loaded."""

    active_model_state: str | None = Field(default=None, description="State of the model that answers.")
    target_model_state: str | None = Field(default=None, description="State of the model that is to answer next.")


class ModelCopies(KubernetesModel):
    """How many pods hold the model."""

    failed_copies: int | None = Field(default=None, description="Pods that failed to load the model.")
    total_copies: int | None = Field(default=None, description="Pods that are ready.")


class FailureInfo(KubernetesModel):
    """Why loading the model failed."""

    location: str | None = Field(default=None, description="The pod.")
    reason: str | None = Field(default=None, description="The cause in one word, such as ModelLoadFailed.")
    message: str | None = Field(default=None, description="The cause for people.")
    model_revision_name: str | None = Field(default=None, description="The revision.")
    time: str | None = Field(default=None, description="When it failed.")
    exit_code: Int32 | None = Field(default=None, description="Exit code of the container.")


class ModelStatus(KubernetesModel):
    """The state of the model itself."""

    transition_status: str | None = Field(
        default=None, description="UpToDate, InProgress, BlockedByFailedLoad or InvalidSpec."
    )
    states: ModelStates | None = Field(default=None, description="Whether the model is loaded.")
    copies: ModelCopies | None = Field(default=None, description="How many pods hold the model.")
    last_failure_info: FailureInfo | None = Field(default=None, description="Why loading failed last.")


class InferenceServiceStatus(KubernetesModel):
    """What is served, as last observed."""

    observed_generation: Int64 | None = Field(default=None, description="The generation of spec this status is of.")
    url: str | None = Field(default=None, description="URL to send requests to.")
    address: Address | None = Field(default=None, description="Address inside the cluster.")
    deployment_mode: str | None = Field(default=None, description="Knative or Standard; it never changes.")
    serving_runtime_name: str | None = Field(default=None, description="The ServingRuntime in use.")
    cluster_serving_runtime_name: str | None = Field(default=None, description="The ClusterServingRuntime in use.")
    conditions: list[Condition] | None = Field(default=None, description="Ready, and what it depends on.")
    components: dict[str, ComponentStatus] | None = Field(
        default=None, description="State of predictor, transformer and explainer."
    )
    model_status: ModelStatus | None = Field(default=None, description="State of the model.")
