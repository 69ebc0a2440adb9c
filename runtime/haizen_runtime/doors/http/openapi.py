"""The inference API as FastAPI describes it. Nothing is served from here: the routes are plain ASGI."""

import json
from typing import Any

from fastapi import APIRouter
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, Field

from haizen_runtime import __version__
from haizen_runtime.doors.http.status import EXTENSIONS

TITLE = "haizen inference server"
Parameters = dict[str, str | int | float | bool]


class Failure(BaseModel):
    """The answer to a request that cannot be served."""

    error: str = Field(description="What was wrong, and what would be right.")


class V1Request(BaseModel):
    """KServe's v1 predict request."""

    instances: list[Any] = Field(description="Rows, or objects with the names of inputs or columns.")


class V1Response(BaseModel):
    """KServe's v1 predict answer."""

    predictions: list[Any]


class V1Model(BaseModel):
    """Whether a model is ready."""

    name: str
    ready: bool


class Models(BaseModel):
    """The names of all models."""

    models: list[str]


class InputTensor(BaseModel):
    """A tensor of a request."""

    name: str
    shape: list[int]
    datatype: str = Field(description="BOOL, UINT8 to UINT64, INT8 to INT64, FP16, FP32, FP64 or BYTES.")
    data: list[Any] = Field(description="Flat in row-major order, or nested as the shape says.")
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
    data: list[Any]
    parameters: Parameters | None = None


class InferResponse(BaseModel):
    """The Open Inference Protocol's infer answer."""

    model_name: str
    model_version: str | None = None
    id: str | None = None
    outputs: list[OutputTensor]
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


def _described(name: str) -> None:
    """Stand for the plain ASGI endpoint of the same path."""


def _described_version(name: str, version: str) -> None:
    """Stand for the plain ASGI endpoint of the same path."""


def _described_server() -> None:
    """Stand for the plain ASGI endpoint of the same path."""


def _router() -> APIRouter:
    """Every documented path with its models."""
    router = APIRouter()
    failures: dict[int | str, dict[str, Any]] = {status: {"model": Failure} for status in (400, 404, 413, 415, 503)}

    def add(path: str, method: str, summary: str, answer: type[BaseModel], body: type[BaseModel] | None = None) -> None:
        extra: dict[str, Any] = {}
        if body is not None:
            content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{body.__name__}"}}}
            extra["requestBody"] = {"required": True, "content": content}
        stand_in = _described_version if "{version}" in path else _described if "{name}" in path else _described_server
        router.add_api_route(
            path, stand_in, methods=[method], summary=summary, response_model=answer, openapi_extra=extra or None,
            responses=failures if body is not None else None, tags=["v1" if path.startswith("/v1") else "v2"],
            operation_id=f"{method.lower()} {path}".translate(str.maketrans("/ {}:", "_____")),
        )  # fmt: skip

    add("/v1/models", "GET", "List the models", Models)
    add("/v1/models/{name}", "GET", "Ask whether a model is ready", V1Model)
    add("/v1/models/{name}:predict", "POST", "Predict", V1Response, V1Request)
    add("/v2", "GET", "Describe the server", ServerMetadata)
    add("/v2/health/live", "GET", "Ask whether the server lives", Live)
    add("/v2/health/ready", "GET", "Ask whether the server is ready", Ready)
    add("/v2/models", "GET", "List the models", Models)
    for prefix in ("/v2/models/{name}", "/v2/models/{name}/versions/{version}"):
        add(prefix, "GET", "Describe a model", ModelMetadata)
        add(f"{prefix}/ready", "GET", "Ask whether a model is ready", V1Model)
        add(f"{prefix}/infer", "POST", "Infer", InferResponse, InferRequest)
    return router


def document() -> bytes:
    """The OpenAPI document as JSON."""
    description = get_openapi(title=TITLE, version=__version__, routes=_router().routes)
    schemas = description["components"]["schemas"]
    for model in (V1Request, InferRequest):
        schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas |= schema.pop("$defs", {})
        schemas[model.__name__] = schema
    for operations in description["paths"].values():
        for operation in operations.values():
            operation.pop("description", None)  # the stand-in's
            operation["responses"].pop("422", None)  # FastAPI's own validation, which is not at work here
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    return json.dumps(description).encode()


def page() -> bytes:
    """Swagger's page over the document; its scripts come from FastAPI's usual CDN."""
    return bytes(get_swagger_ui_html(openapi_url="/openapi.json", title=TITLE).body)
