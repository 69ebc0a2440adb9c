"""The predictor: the component that runs the model."""

from pydantic import Field

from haizen_operator.api.component import ComponentSpec, WorkerSpec
from haizen_operator.api.model import LEGACY_FRAMEWORKS, FrameworkSpec, ModelSpec


class PredictorSpec(ComponentSpec):
    """Exactly one of ``model``, a framework field, or ``containers``; scaling; and an inline PodSpec."""

    name: str | None = Field(default=None, description="Name of this predictor among the canaries.", max_length=253)
    model: ModelSpec | None = Field(default=None, description="A model of any format.")
    sklearn: FrameworkSpec | None = Field(default=None, description="A scikit-learn model.")
    xgboost: FrameworkSpec | None = Field(default=None, description="An XGBoost model.")
    tensorflow: FrameworkSpec | None = Field(default=None, description="A TensorFlow SavedModel.")
    pytorch: FrameworkSpec | None = Field(default=None, description="A PyTorch model archive.")
    triton: FrameworkSpec | None = Field(default=None, description="A Triton model repository.")
    onnx: FrameworkSpec | None = Field(default=None, description="An ONNX model.")
    huggingface: FrameworkSpec | None = Field(default=None, description="A Hugging Face model.")
    pmml: FrameworkSpec | None = Field(default=None, description="A PMML model.")
    lightgbm: FrameworkSpec | None = Field(default=None, description="A LightGBM model.")
    paddle: FrameworkSpec | None = Field(default=None, description="A PaddlePaddle model.")
    storage_container_name: str | None = Field(
        default=None, description="Name of the ClusterStorageContainer that downloads the model."
    )
    worker_spec: WorkerSpec | None = Field(default=None, description="Further nodes of a model spread over several.")

    def effective_model(self) -> ModelSpec | None:
        """The model to serve, with a framework field read as a ModelSpec; none for a custom container.

        KServe's defaulting webhook writes this into the user's spec; here it is computed, never stored.
        """
        for name in LEGACY_FRAMEWORKS:
            framework: FrameworkSpec | None = getattr(self, name)
            if framework is not None:
                return ModelSpec.from_framework(name, framework)
        return self.model.with_default_protocol() if self.model is not None else None
