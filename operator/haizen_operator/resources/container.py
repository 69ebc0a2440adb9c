"""The containers of a predictor's pod, and the rest of its pod: from a runtime and a model, or as the user wrote them.

KServe's rules: the server is called ``kserve-container``; order is server, collocated transformer, other containers of
the runtime, other containers of the InferenceService; every container learns INFERENCE_SERVICE_NAME.
"""

from collections.abc import Mapping
from typing import Any

from haizen_operator.api import InferenceService, ObjectMeta
from haizen_operator.config import ResourceDefaults
from haizen_operator.names import (
    ANNOTATION_DOWNLOADS_MODEL,
    ANNOTATION_MODEL_FORMAT,
    CONTAINER_PREDICTOR,
    CONTAINER_TRANSFORMER,
    ENV_INFERENCE_SERVICE,
    H2C_PORT_NAME,
    HTTP_PORT,
)
from haizen_operator.resources.errors import ResourceError, ResourceProblem
from haizen_operator.resources.image import resolve_image
from haizen_operator.resources.merge import merge_container, merge_pod_spec, without_empty
from haizen_operator.resources.quantity import parse_quantity
from haizen_operator.resources.server_defaults import ServerDefaults, add_missing_env, server_defaults
from haizen_operator.resources.template import TemplateError, fill_placeholders
from haizen_operator.selection import Selection
from haizen_operator.server_types import server_type

#: What the restricted Pod Security Standard asks of a container.
RESTRICTED_SECURITY_CONTEXT: Mapping[str, Any] = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}

_MERGED = (CONTAINER_PREDICTOR, CONTAINER_TRANSFORMER)


def downloads_model(selection: Selection | None) -> bool:
    """Whether the runtime's server fetches the model itself (annotation ``haizen.dev/downloads-model``)."""
    if selection is None:
        return False
    return selection.runtime.metadata.annotations.get(ANNOTATION_DOWNLOADS_MODEL, "").lower() == "true"


def defaults_for_server(isvc: InferenceService, selection: Selection) -> ServerDefaults:
    """KServe's additions for the kind of server the selected runtime holds."""
    model = isvc.spec.predictor.effective_model()
    return server_defaults(
        server_type(selection.name, selection.runtime.metadata.annotations),
        isvc_name=isvc.metadata.name,
        model_format=selection.model_format.name,
        protocol_version=selection.protocol_version,
        has_storage=model is not None and (model.storage_uri is not None or model.storage is not None),
    )


def pod_of_model(isvc: InferenceService, selection: Selection) -> dict[str, Any]:
    """The pod of a model served by a runtime, before storage is attached.

    Raises ``ResourceError`` for a runtime without ``kserve-container`` and for a placeholder that cannot be filled.
    """
    predictor, runtime = isvc.spec.predictor, selection.runtime.spec
    model = predictor.effective_model()
    assert model is not None
    ours = _by_name(runtime.containers)
    if CONTAINER_PREDICTOR not in ours:
        raise ResourceError(
            ResourceProblem.INVALID_PREDICTOR_SPEC,
            "spec.containers",
            f"failed to find {CONTAINER_PREDICTOR} in ServingRuntime containers ({selection.kind} {selection.name} "
            f"has: {', '.join(ours) or 'none'})",
        )
    defaults = defaults_for_server(isvc, selection)
    wanted = add_missing_env(model.container(), defaults.env)
    if defaults.args:
        wanted["args"] = [*(wanted.get("args") or []), *defaults.args]
    metadata = _template_metadata(isvc.metadata, selection, defaults)
    server = merge_container(ours[CONTAINER_PREDICTOR], wanted)
    server = _filled(server, metadata, selection)
    server["name"] = CONTAINER_PREDICTOR
    image = resolve_image(
        server, model.runtime_version, server_type(selection.name, selection.runtime.metadata.annotations)
    )
    if image:
        server["image"] = image
    if downloads_model(selection):
        server = _with_our_defaults(server)

    theirs = _by_name(predictor.containers)
    containers = [server]
    transformers = [found[CONTAINER_TRANSFORMER] for found in (ours, theirs) if CONTAINER_TRANSFORMER in found]
    if transformers:
        merged = merge_container(*transformers) if len(transformers) == 2 else dict(transformers[0])
        containers.append(_filled(merged, metadata, selection))
    containers += [container for name, container in ours.items() if name not in _MERGED]
    containers += [container for container in predictor.containers if container.get("name") != CONTAINER_TRANSFORMER]
    pod = merge_pod_spec(runtime.pod_spec(), predictor.pod_spec())
    return {**pod, "containers": [_knowing_its_service(it, isvc.metadata.name) for it in containers]}


def pod_of_containers(isvc: InferenceService, defaults: ResourceDefaults) -> dict[str, Any]:
    """The pod of a predictor that brings its own containers.

    KServe's rules: a single container is always called ``kserve-container``; of several, the first if it has no name;
    the first gets default resources. Raises ``ResourceError`` when no container can be told to be the server.
    """
    predictor = isvc.spec.predictor
    containers = [dict(container) for container in predictor.containers]
    if not containers:
        raise ResourceError(
            ResourceProblem.INVALID_PREDICTOR_SPEC,
            "spec.predictor",
            "spec.predictor needs a model, a framework field such as sklearn, or containers",
        )
    if len(containers) == 1 or not containers[0].get("name"):
        containers[0]["name"] = CONTAINER_PREDICTOR
    if CONTAINER_PREDICTOR not in _by_name(containers):
        raise ResourceError(
            ResourceProblem.INVALID_PREDICTOR_SPEC,
            "spec.predictor.containers",
            f"of several containers, one must be called {CONTAINER_PREDICTOR} "
            f"(found: {', '.join(_by_name(containers))})",
        )
    containers[0]["resources"] = with_default_resources(containers[0].get("resources") or {}, defaults)
    pod = without_empty(predictor.pod_spec())
    return {**pod, "containers": [_knowing_its_service(it, isvc.metadata.name) for it in containers]}


def with_default_resources(resources: Mapping[str, Any], defaults: ResourceDefaults) -> dict[str, Any]:
    """Resources with KServe's defaults where they say nothing.

    Where KServe's default alone would be refused (a request above its limit), it gives way to what the user wrote.
    """
    requests, limits = dict(resources.get("requests") or {}), dict(resources.get("limits") or {})
    for name, request, limit in (
        ("cpu", defaults.cpu_request, defaults.cpu_limit),
        ("memory", defaults.memory_request, defaults.memory_limit),
    ):
        asked, capped = requests.get(name), limits.get(name)
        if asked is None:
            requests[name] = request if capped is None else _smaller(request, capped)
        if capped is None:
            limits[name] = limit if asked is None else _larger(limit, asked)
    return {**resources, "requests": requests, "limits": limits}


def _template_metadata(metadata: ObjectMeta, selection: Selection, defaults: ServerDefaults) -> ObjectMeta:
    annotations = {ANNOTATION_MODEL_FORMAT: selection.model_format.name, **metadata.annotations}
    labels = {**metadata.labels, **defaults.labels}
    return metadata.model_copy(update={"annotations": annotations, "labels": labels})


def _filled(container: Mapping[str, Any], metadata: ObjectMeta, selection: Selection) -> dict[str, Any]:
    try:
        filled: dict[str, Any] = fill_placeholders(dict(container), metadata, str(container.get("name")))
    except TemplateError as error:
        raise ResourceError(
            ResourceProblem.INVALID_PREDICTOR_SPEC,
            f"{selection.kind} {selection.name}",
            f"failed to replace placeholders in serving runtime {selection.name} Container "
            f"{container.get('name')}: {error}",
        ) from error
    return filled


def _with_our_defaults(container: Mapping[str, Any]) -> dict[str, Any]:
    """Our server's port, readiness probe and restricted security context, where nobody said anything."""
    return {
        "ports": [{"name": H2C_PORT_NAME, "containerPort": HTTP_PORT, "protocol": "TCP"}],
        # Knative's own default, an open TCP port, is ready before the model is.
        "readinessProbe": {"httpGet": {"path": "/v2/health/ready", "port": HTTP_PORT}},
        "securityContext": dict(RESTRICTED_SECURITY_CONTEXT),
        **without_empty(container),
    }


def _knowing_its_service(container: Mapping[str, Any], isvc_name: str) -> dict[str, Any]:
    variable = {"name": ENV_INFERENCE_SERVICE, "value": isvc_name}
    env = [variable if it.get("name") == ENV_INFERENCE_SERVICE else it for it in container.get("env") or []]
    return {**container, "env": env if variable in env else [*env, variable]}


def _by_name(containers: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {str(container.get("name") or ""): container for container in containers}


def _smaller(default: str, written: Any) -> Any:
    return default if _value(default) <= _value(written) else written


def _larger(default: str, written: Any) -> Any:
    return default if _value(default) >= _value(written) else written


def _value(quantity: Any) -> Any:
    try:
        return parse_quantity(quantity)
    except ValueError as error:
        raise ResourceError(
            ResourceProblem.INVALID_PREDICTOR_SPEC, "spec.predictor.containers[0].resources", str(error)
        ) from error
