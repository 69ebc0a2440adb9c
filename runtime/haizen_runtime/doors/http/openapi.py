"""The inference API as FastAPI describes it. Nothing is served from here: the routes are plain ASGI."""

import json
from typing import Any

from fastapi import APIRouter
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel

from haizen_runtime import __version__
from haizen_runtime.doors.http.openapi_schemas import (
    Failure,
    GenerateRequest,
    IndexEntry,
    IndexRequest,
    InferRequest,
    InferResponse,
    Live,
    Loaded,
    ModelMetadata,
    ModelReady,
    Models,
    Ready,
    ServerMetadata,
    Unloaded,
    V1Metadata,
    V1Model,
    V1Request,
    V1Response,
)

TITLE = "haizen inference server"
JSON_LENGTH = {
    "name": "Inference-Header-Content-Length", "in": "header", "required": False, "schema": {"type": "integer"},
    "description": "The bytes of JSON in the body, when tensors follow as bytes (the binary tensor data extension).",
}  # fmt: skip


def _described(name: str) -> None:
    """Stand for the plain ASGI endpoint of the same path."""


def _described_version(name: str, version: str) -> None:
    """Stand for the plain ASGI endpoint of the same path."""


def _described_server() -> None:
    """Stand for the plain ASGI endpoint of the same path."""


def _router() -> APIRouter:
    """Every documented path with its models."""
    router = APIRouter()

    def add(path: str, method: str, summary: str, answer: Any, *bodies: type[BaseModel]) -> None:
        extra: dict[str, Any] = {}
        if bodies:
            schemas = [{"$ref": f"#/components/schemas/{body.__name__}"} for body in bodies]
            content: dict[str, Any] = {
                "application/json": {"schema": schemas[0] if len(bodies) == 1 else {"anyOf": schemas}}
            }
            if InferRequest in bodies:
                content["application/octet-stream"] = {"schema": {"type": "string", "format": "binary"}}
                extra["parameters"] = [JSON_LENGTH]
            extra["requestBody"] = {"required": IndexRequest not in bodies, "content": content}
        stand_in = _described_version if "{version}" in path else _described if "{name}" in path else _described_server
        router.add_api_route(
            path, stand_in, methods=[method], summary=summary, response_model=answer, openapi_extra=extra or None,
            responses=responses(path, method, answer), tags=[_tag(path)],
            operation_id=f"{method.lower()} {path}".translate(str.maketrans("/ {}:", "_____")),
        )  # fmt: skip

    add("/v1/models", "GET", "List the models", Models)
    for prefix in ("/v1/models/{name}", "/v1/models/{name}/versions/{version}"):
        add(prefix, "GET", "Ask whether a model is ready", V1Model)
        add(f"{prefix}/metadata", "GET", "Describe a model (TensorFlow Serving's form)", V1Metadata)
        add(f"{prefix}:predict", "POST", "Predict", V1Response, V1Request)
        add(f"{prefix}:explain", "POST", "Explain a prediction", dict[str, Any], V1Request)
    add("/v2", "GET", "Describe the server", ServerMetadata)
    add("/v2/health/live", "GET", "Ask whether the server lives", Live)
    add("/v2/health/ready", "GET", "Ask whether the server is ready", Ready)
    add("/v2/models", "GET", "List the models", Models)
    add("/v2/models/stats", "GET", "Tell what all models did (Triton's statistics)", dict[str, Any])
    for prefix in ("/v2/models/{name}", "/v2/models/{name}/versions/{version}"):
        add(prefix, "GET", "Describe a model", ModelMetadata)
        add(f"{prefix}/stats", "GET", "Tell what a model did (Triton's statistics)", dict[str, Any])
        add(f"{prefix}/config", "GET", "Describe a model (Triton's configuration)", dict[str, Any])
        add(f"{prefix}/ready", "GET", "Ask whether a model is ready", ModelReady)
        add(f"{prefix}/infer", "POST", "Infer", InferResponse, InferRequest)
        add(f"{prefix}/generate", "POST", "Infer, by the names of the inputs", dict[str, Any], GenerateRequest)
        add(
            f"{prefix}/generate_stream",
            "POST",
            "Infer, answered by server-sent events",
            dict[str, Any],
            GenerateRequest,
        )
    add("/v2/repository/index", "POST", "List the models with their states", list[IndexEntry], IndexRequest)
    add("/v2/repository/models/{name}/load", "POST", "Load a model", Loaded)
    add("/v2/repository/models/{name}/unload", "POST", "Unload a model", Unloaded)
    add("/ping", "GET", "Ask whether the server is ready", Ready)
    add(
        "/invocations",
        "POST",
        "Predict or infer, by the form of the body",
        V1Response | InferResponse,
        V1Request,
        InferRequest,
    )
    return router


def responses(path: str, method: str, answer: Any) -> dict[int | str, dict[str, Any]]:
    """What a path answers beside 200. A probe says its own no; everything else says an error."""
    failures = (
        (400, 404, 408, 413, 415, 500, 501, 503, 504) if method == "POST" else (404, 503) if "{name}" in path else ()
    )
    found: dict[int | str, dict[str, Any]] = {status: {"model": Failure} for status in failures}
    if answer in (Ready, ModelReady, V1Model):
        found[503] = {"model": answer}
    return found


def _tag(path: str) -> str:
    return path[1:3] if path[1:3] in ("v1", "v2") else "sagemaker"


def document(models: dict[str, Any]) -> bytes:
    """The OpenAPI document as JSON; `models` are the paths of the models that are loaded."""
    description = get_openapi(title=TITLE, version=__version__, routes=_router().routes)
    schemas = description["components"]["schemas"]
    for model in (V1Request, InferRequest, IndexRequest, GenerateRequest):
        schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas |= schema.pop("$defs", {})
        schemas[model.__name__] = schema
    for operations in description["paths"].values():
        for operation in operations.values():
            operation.pop("description", None)  # the stand-in's
            operation["responses"].pop("422", None)  # FastAPI's own validation, which is not at work here
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    description["paths"] = models | description["paths"]
    return json.dumps(description).encode()


def page() -> bytes:
    """Swagger's page over the document; its scripts come from FastAPI's usual CDN."""
    return bytes(get_swagger_ui_html(openapi_url="/openapi.json", title=TITLE).body)
