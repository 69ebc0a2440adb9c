"""The bodies that the OpenAPI document describes. Nothing is checked by them: the codecs are in `protocol`."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from haizen_runtime.doors.http.status import EXTENSIONS

Parameters = dict[str, str | int | float | bool]


class Failure(BaseModel):
    """The answer to a request that cannot be served."""

    error: str = Field(description="What was wrong, and what would be right.")


class V1Request(BaseModel):
    """KServe's v1 predict request, and TensorFlow Serving's."""

    instances: list[Any] | None = Field(None, description="Rows, or objects with the names of inputs or columns.")
    inputs: list[Any] | dict[str, Any] | None = Field(None, description="Whole tensors by name, in place of instances.")
    signature_name: str | None = Field(None, description="serving_default, or nothing.")
    parameters: Any = None


class V1Response(BaseModel):
    """KServe's v1 predict answer, and TensorFlow Serving's."""

    predictions: list[Any] | None = Field(None, description="A row each, or objects with the names of outputs.")
    outputs: Any = Field(None, description="Whole tensors, in answer to inputs.")


class VersionStatus(BaseModel):
    """TensorFlow Serving's status of a version."""

    version: str
    state: str = Field(description="LOADING, AVAILABLE, UNLOADING or END.")
    status: dict[str, str]


class ModelReady(BaseModel):
    """Whether a model is ready."""

    name: str
    ready: bool


class V1Model(ModelReady):
    """Whether a model is ready, with its versions."""

    model_version_status: list[VersionStatus]


class V1Metadata(BaseModel):
    """TensorFlow Serving's metadata."""

    model_spec: dict[str, str]
    metadata: dict[str, Any]


class IndexRequest(BaseModel):
    """Which models to list."""

    ready: bool = False


class IndexEntry(BaseModel):
    """A version of a model in the repository."""

    name: str
    version: str
    state: str = Field(description="UNLOADED, LOADING, READY, UNLOADING or FAILED.")
    reason: str


class Loaded(BaseModel):
    """A model was loaded."""

    name: str
    load: bool


class Unloaded(BaseModel):
    """A model was unloaded, after all that it had taken was answered."""

    name: str
    unload: bool


class Models(BaseModel):
    """The names of all models."""

    models: list[str]


class InputTensor(BaseModel):
    """A tensor of a request."""

    name: str
    shape: list[int]
    datatype: str = Field(description="BOOL, UINT8 to UINT64, INT8 to INT64, FP16, BF16, FP32, FP64 or BYTES.")
    data: list[Any] | None = Field(
        None, description="Flat in row-major order, or nested as the shape says; nothing with binary_data_size."
    )
    parameters: Parameters | None = None


class RequestedOutput(BaseModel):
    """An output that the answer shall have."""

    name: str
    parameters: Parameters | None = None


class InferRequest(BaseModel):
    """The Open Inference Protocol's infer request."""

    id: str | None = None
    inputs: list[InputTensor]
    outputs: list[RequestedOutput] | None = None
    parameters: Parameters | None = None


class OutputTensor(BaseModel):
    """A tensor of an answer."""

    name: str
    shape: list[int]
    datatype: str
    data: list[Any] | None = None
    parameters: Parameters | None = None


class InferResponse(BaseModel):
    """The Open Inference Protocol's infer answer."""

    model_name: str
    model_version: str | None = None
    id: str | None = None
    outputs: list[OutputTensor]
    parameters: Parameters | None = None


class GenerateRequest(BaseModel):
    """The generate extension's request: beside these, a field for each input, and parameters of any other name."""

    model_config = ConfigDict(extra="allow")

    id: str | None = None
    parameters: Parameters | None = None


class TensorMetadata(BaseModel):
    """What a model says about an input or output."""

    name: str
    datatype: str
    shape: list[int] = Field(description="-1 stands for any size.")


class ModelMetadata(BaseModel):
    """What a model says about itself."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]
    properties: Parameters


class ServerMetadata(BaseModel):
    """What the server says about itself."""

    name: str
    version: str
    extensions: list[str] = Field(examples=[EXTENSIONS])


class Live(BaseModel):
    """The process answers."""

    live: bool


class Ready(BaseModel):
    """Whether all models can answer."""

    ready: bool
