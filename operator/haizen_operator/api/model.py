"""A model to serve: its format, where its files are, and the container that may adjust its runtime."""

from typing import Any

from pydantic import Field

from haizen_operator.api.base import KubernetesModel

#: The framework fields of KServe's first API (``sklearn:``), in KServe's order of precedence.
LEGACY_FRAMEWORKS = (
    "sklearn",
    "tensorflow",
    "xgboost",
    "pytorch",
    "triton",
    "onnx",
    "huggingface",
    "pmml",
    "lightgbm",
    "paddle",
)

# KServe's defaulting webhook: these framework fields, and these formats of `model`, speak v2 unless told otherwise.
_LEGACY_SPEAKING_V2 = frozenset({"triton", "onnx", "huggingface"})
_FORMATS_SPEAKING_V2 = frozenset({"triton", "vLLM"})


class ModelFormat(KubernetesModel):
    """The format a model is stored in."""

    name: str = Field(description="Name of the format, such as sklearn, xgboost or onnx.")
    version: str | None = Field(
        default=None, description="Version of the format, a label compared as it stands: 1 is not 1.0."
    )


class StorageSpec(KubernetesModel):
    """A place in a store whose credentials are in the secret ``storage-config``."""

    path: str | None = Field(default=None, description="Path of the model in the store.")
    schema_path: str | None = Field(default=None, description="Path of the model's schema in the store.")
    parameters: dict[str, str] | None = Field(
        default=None, description="Overrides of the store's own parameters, such as type, bucket or endpoint_url."
    )
    key: str | None = Field(default=None, description="Key in the secret storage-config; chosen by type if left out.")


class ConfidentialSpec(KubernetesModel):
    """Decrypts the model inside a confidential virtual machine."""

    enabled: bool = Field(description="Whether the model is encrypted.")
    resource_id: str | None = Field(default=None, description="Key of the model: kbs:///repository/type/tag.")


class StoredContainer(KubernetesModel):
    """Files from a store, and an inline core/v1 Container that uses them."""

    inlined_type = "Container"

    storage_uri: str | None = Field(
        default=None, description="URI of the model: s3, gs, http(s), hf, pvc, file and more, such as s3://bucket/path."
    )
    storage: StorageSpec | None = Field(default=None, description="A place in a store known to storage-config.")
    runtime_version: str | None = Field(default=None, description="Tag of the runtime's image, instead of its own.")

    def container(self) -> dict[str, Any]:
        """The inline Container (image, args, env, resources ...): camelCase, as the user wrote it."""
        return self._inlined()


class FrameworkSpec(StoredContainer):
    """A framework field of the predictor, such as ``sklearn`` (KServe's PredictorExtensionSpec)."""

    protocol_version: str | None = Field(
        default=None, description="Protocol the predictor speaks: v1, v2, grpc-v1 or grpc-v2."
    )
    confidential: ConfidentialSpec | None = Field(default=None, description="Decryption of an encrypted model.")


class ModelSpec(FrameworkSpec):
    """A model of any format, served by the runtime that is named or that fits the format."""

    model_format: ModelFormat = Field(description="The format the model is stored in.")
    runtime: str | None = Field(
        default=None, description="Name of the ServingRuntime or ClusterServingRuntime; chosen by format if left out."
    )

    def with_default_protocol(self) -> "ModelSpec":
        """This model, with KServe's default of the protocol for formats whose servers speak v2 only."""
        if self.protocol_version is None and self.model_format.name in _FORMATS_SPEAKING_V2:
            return self.model_copy(update={"protocol_version": "v2"})
        return self

    @classmethod
    def from_framework(cls, name: str, framework: FrameworkSpec) -> "ModelSpec":
        """A framework field (``sklearn: {storageUri: ...}``) said in the newer way (``model: ...``)."""
        manifest: dict[str, Any] = {**framework.to_manifest(), "modelFormat": {"name": name}}
        if framework.protocol_version is None and name in _LEGACY_SPEAKING_V2:
            manifest["protocolVersion"] = "v2"
        return cls.from_manifest(manifest)
