"""InferenceService, serving.kserve.io/v1beta1: a model and how it is served."""

from typing import Any

from pydantic import Field

from haizen_operator.api.base import KubernetesModel
from haizen_operator.api.component import ComponentSpec
from haizen_operator.api.metadata import ObjectMeta
from haizen_operator.api.model import StoredContainer
from haizen_operator.api.predictor import PredictorSpec

API_GROUP = "serving.kserve.io"
INFERENCE_SERVICE_VERSION = f"{API_GROUP}/v1beta1"


class TransformerSpec(ComponentSpec):
    """Prepares requests for the predictor and rounds off its answers."""


class ArtExplainerSpec(StoredContainer):
    """An explainer of the Adversarial Robustness Toolbox."""

    type: str | None = Field(default=None, description="The explainer: SquareAttack.")
    config: dict[str, str] | None = Field(default=None, description="Settings of the explainer.")


class ExplainerSpec(ComponentSpec):
    """Explains what the predictor answered."""

    art: ArtExplainerSpec | None = Field(
        default=None, description="An explainer of IBM's Adversarial Robustness Toolbox."
    )


class CanarySpec(KubernetesModel):
    """A further predictor that takes a share of the traffic (Standard mode)."""

    predictor: PredictorSpec = Field(description="The canary's predictor; its name tells it from the others.")
    traffic_percent: int = Field(
        description="Percent of the traffic that goes to this canary.",
        json_schema_extra={"format": "int32", "minimum": 0, "maximum": 100},
    )


class InferenceServiceSpec(KubernetesModel):
    """What to serve: a predictor, and around it perhaps a transformer, an explainer and canaries."""

    predictor: PredictorSpec = Field(description="The component that runs the model.")
    transformer: TransformerSpec | None = Field(
        default=None, description="Prepares requests for the predictor and rounds off its answers."
    )
    explainer: ExplainerSpec | None = Field(default=None, description="Explains what the predictor answered.")
    canary: list[CanarySpec] | None = Field(
        default=None,
        description="Further predictors that take a share of the traffic (Standard mode).",
        max_length=100,
    )


class InferenceService(KubernetesModel):
    """A model and how it is served; the YAML KServe takes."""

    api_version: str = Field(default=INFERENCE_SERVICE_VERSION, description="serving.kserve.io/v1beta1.")
    kind: str = Field(default="InferenceService", description="InferenceService.")
    metadata: ObjectMeta = Field(default_factory=ObjectMeta, description="Name, namespace, labels, annotations.")
    spec: InferenceServiceSpec = Field(description="What to serve.")
    status: dict[str, Any] = Field(default_factory=dict, description="What is served, as last observed.")
