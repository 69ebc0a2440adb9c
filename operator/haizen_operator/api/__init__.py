"""The kinds of serving.kserve.io as immutable models: what users write, and what the CRDs are generated from."""

from haizen_operator.api.component import ComponentSpec
from haizen_operator.api.inference_service import InferenceService, InferenceServiceSpec
from haizen_operator.api.metadata import ObjectMeta
from haizen_operator.api.model import LEGACY_FRAMEWORKS, FrameworkSpec, ModelFormat, ModelSpec, StorageSpec
from haizen_operator.api.predictor import PredictorSpec
from haizen_operator.api.serving_runtime import (
    ClusterServingRuntime,
    ServingRuntime,
    ServingRuntimeSpec,
    SupportedModelFormat,
)

__all__ = [
    "LEGACY_FRAMEWORKS",
    "ClusterServingRuntime",
    "ComponentSpec",
    "FrameworkSpec",
    "InferenceService",
    "InferenceServiceSpec",
    "ModelFormat",
    "ModelSpec",
    "ObjectMeta",
    "PredictorSpec",
    "ServingRuntime",
    "ServingRuntimeSpec",
    "StorageSpec",
    "SupportedModelFormat",
]
