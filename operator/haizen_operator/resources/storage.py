"""How the model's files get into the pod: fetched by our server, by an init container, or mounted from a claim."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from posixpath import commonpath, dirname
from typing import Any

from haizen_operator.api import InferenceService, ModelSpec, StorageSpec
from haizen_operator.config import InitializerSettings, OperatorConfig
from haizen_operator.names import (
    ANNOTATION_STORAGE_READONLY,
    CONTAINER_PREDICTOR,
    CONTAINER_STORAGE_INITIALIZER,
    CONTAINER_TRANSFORMER,
    ENV_STORAGE_CONFIG,
    ENV_STORAGE_OVERRIDE_CONFIG,
    ENV_STORAGE_URI,
    ENV_STORAGE_URIS,
    MODEL_DIR,
    TMP_DIR,
    VOLUME_CA_BUNDLE,
    VOLUME_MODEL,
    VOLUME_PVC,
)
from haizen_operator.resources.container import RESTRICTED_SECURITY_CONTEXT
from haizen_operator.resources.errors import ResourceError, ResourceProblem
from haizen_operator.resources.merge import merge_env
from haizen_operator.resources.storage_access import StorageAccess, StorageConfigEntry
from haizen_operator.resources.storage_uri import check_storage_uri, persistent_volume

_STORAGE_TYPES = ("s3", "gs", "hdfs", "webhdfs")
_BUCKET_TYPES = ("s3", "gs")
_VOLUME_TMP = "haizen-tmp"


@dataclass(frozen=True, slots=True)
class Source:
    """One set of files: where they come from, where the server finds them, and the field that says so."""

    uri: str
    mount_path: str
    field: str


def attach_storage(
    pod: Mapping[str, Any],
    isvc: InferenceService,
    access: StorageAccess,
    config: OperatorConfig,
    *,
    server_downloads: bool,
) -> dict[str, Any]:
    """The pod with its model: volumes, mounts, environment and, for foreign servers, an init container.

    ``server_downloads`` says that the server fetches STORAGE_URI itself. Raises ``ResourceError`` for a source that
    cannot be fetched.
    """
    sources, storage_env = model_sources(isvc, access)
    pod = _without_custom_uri(pod, isvc)
    if not sources:
        return dict(pod)
    for source in sources:
        check_storage_uri(source.uri, source.field)
    read_only = isvc.metadata.annotations.get(ANNOTATION_STORAGE_READONLY) != "false"
    claims = [source for source in sources if persistent_volume(source.uri, source.field)]
    downloads = [source for source in sources if source not in claims]
    volumes, mounts = _claim_mounts(claims, read_only)
    if not downloads:
        return _mounted(pod, volumes, mounts)

    parent = _common_parent(downloads)
    volumes.append({"name": VOLUME_MODEL, "emptyDir": {}})
    env = merge_env(access.env, storage_env)
    bundle_env, bundle_volumes, bundle_mounts = _ca_bundle(env, config.initializer)
    env = merge_env(env, bundle_env)
    credential_volumes = [*map(dict, access.volumes), *bundle_volumes]
    credential_mounts = [*map(dict, access.volume_mounts), *bundle_mounts]
    model_mount = {"name": VOLUME_MODEL, "mountPath": parent}
    if server_downloads:
        pod = _mounted(pod, [*volumes, *credential_volumes], [model_mount, *mounts])
        return _with_server_download(pod, downloads, env, credential_mounts)
    shared = model_mount | ({"readOnly": True} if read_only else {})
    pod = _mounted(pod, [*volumes, *credential_volumes, {"name": _VOLUME_TMP, "emptyDir": {}}], [shared, *mounts])
    initializer = _initializer(downloads, env, [model_mount, *credential_mounts], config)
    return {**pod, "initContainers": [initializer, *(pod.get("initContainers") or [])]}


def model_sources(isvc: InferenceService, access: StorageAccess) -> tuple[list[Source], list[dict[str, Any]]]:
    """Where the predictor's files come from, and the environment a ``storage`` spec adds.

    Raises ``ResourceError`` when there are several ways at once, or a ``storage`` spec that leads nowhere.
    """
    predictor = isvc.spec.predictor
    model = predictor.effective_model()
    ways: list[str] = []
    sources: list[Source] = []
    env: list[dict[str, Any]] = []
    if model is None:
        uri = _custom_uri(predictor.containers)
        if uri:
            sources.append(Source(uri, MODEL_DIR, "spec.predictor.containers[0].env[STORAGE_URI]"))
            ways.append("env STORAGE_URI")
    else:
        field = "spec.predictor.model" if predictor.model is not None else f"spec.predictor.{model.model_format.name}"
        if model.storage_uri:
            sources.append(Source(model.storage_uri, MODEL_DIR, f"{field}.storageUri"))
            ways.append("storageUri")
        if model.storage is not None:
            uri, env = _resolve_storage(model, model.storage, access, f"{field}.storage")
            sources.append(Source(uri, MODEL_DIR, f"{field}.storage"))
            ways.append("storage")
    if predictor.storage_uris:
        sources += [
            Source(it.uri, it.mount_path or MODEL_DIR, f"spec.predictor.storageUris[{number}]")
            for number, it in enumerate(predictor.storage_uris)
        ]
        ways.append("storageUris")
    if len(ways) > 1:
        raise ResourceError(
            ResourceProblem.INVALID_STORAGE, "spec.predictor", f"must provide only one of {' and '.join(ways)}"
        )
    return sources, env


def _resolve_storage(
    model: ModelSpec, storage: StorageSpec, access: StorageAccess, field: str
) -> tuple[str, list[dict[str, Any]]]:
    """KServe's rule for ``storage``: key, else ``default_<type>``, else ``default`` of the secret storage-config."""

    def refused(message: str) -> ResourceError:
        return ResourceError(ResourceProblem.INVALID_STORAGE, field, f"{field}: {message}")

    parameters = dict(sorted((storage.parameters or {}).items()))
    kind, bucket = parameters.get("type"), parameters.get("bucket")
    secret = access.storage_config_secret
    entries: Mapping[str, StorageConfigEntry] = access.storage_config or {}
    key = storage.key or (f"default_{kind}" if kind else "default")
    if storage.key and access.storage_config is None:
        raise refused(f"can't read storage secret {secret}: it was not found")
    if storage.key and key not in entries:
        raise refused(f"specified storage key {key} not found in storage secret {secret}")
    env: list[dict[str, Any]] = []
    entry = entries.get(key)
    if entry is not None:
        if entry.error is not None:
            raise refused(f"invalid json encountered in key {key} of storage secret {secret}: {entry.error}")
        kind, bucket = kind or entry.type, bucket or entry.bucket
        if entry.ca_bundle_config_map:
            env.append({"name": "AWS_CA_BUNDLE_CONFIGMAP", "value": entry.ca_bundle_config_map})
        env.append({"name": ENV_STORAGE_CONFIG, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}})
    if not kind:
        raise refused(
            f"unable to determine storage type: neither parameters.type nor key {key!r} of secret {secret} says it"
        )
    if kind not in _STORAGE_TYPES:
        raise refused(
            f"storage type must be one of [{', '.join(_STORAGE_TYPES)}]. storage type [{kind}] is not supported"
        )
    if kind in _BUCKET_TYPES and not bucket:
        raise refused(f"format [{kind}] requires a bucket but one wasn't found in storage data or parameters")
    if parameters:
        text = json.dumps(parameters, sort_keys=True, separators=(",", ":"))
        env.append({"name": ENV_STORAGE_OVERRIDE_CONFIG, "value": text})
    path = (storage.path or "").lstrip("/")
    return (f"{kind}://{bucket}/{path}" if kind in _BUCKET_TYPES else f"{kind}://{path}"), env


def _custom_uri(containers: list[dict[str, Any]]) -> str | None:
    server = containers[0] if len(containers) == 1 else None
    server = server or next((it for it in containers if it.get("name") == CONTAINER_PREDICTOR), None)
    variables = (server or {}).get("env") or []
    return next((it.get("value") for it in variables if it.get("name") == ENV_STORAGE_URI), None)


def _without_custom_uri(pod: Mapping[str, Any], isvc: InferenceService) -> dict[str, Any]:
    """KServe's rule: a custom container's STORAGE_URI is ours to fetch; the container is told where it lies."""
    if isvc.spec.predictor.effective_model() is not None:
        return dict(pod)

    def told(container: dict[str, Any]) -> dict[str, Any]:
        if container["name"] != CONTAINER_PREDICTOR:
            return container
        path = {"name": ENV_STORAGE_URI, "value": MODEL_DIR}
        env = [path if it.get("name") == ENV_STORAGE_URI and it.get("value") else it for it in container["env"]]
        return {**container, "env": env}

    return {**pod, "containers": [told(container) for container in pod["containers"]]}


def _common_parent(downloads: list[Source]) -> str:
    parent = commonpath([source.mount_path for source in downloads])
    if parent == "/" or any(".." in source.mount_path.split("/") for source in downloads):
        paths = ", ".join(source.mount_path for source in downloads)
        raise ResourceError(
            ResourceProblem.INVALID_STORAGE,
            "spec.predictor.storageUris",
            f"spec.predictor.storageUris: mount paths need a common parent folder and no '..' (found: {paths})",
        )
    return parent


def _claim_mounts(claims: list[Source], read_only: bool) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    volumes: dict[str, dict[str, Any]] = {}
    mounts = []
    for source in claims:
        found = persistent_volume(source.uri, source.field)
        assert found is not None
        if found.claim not in volumes:
            name = VOLUME_PVC if not volumes else f"{VOLUME_PVC}-{len(volumes) + 1}"
            # Knative looks at the volume, not at the mount, when it decides whether writing is asked for.
            claim = {"claimName": found.claim} | ({"readOnly": True} if read_only else {})
            volumes[found.claim] = {"name": name, "persistentVolumeClaim": claim}
        mount: dict[str, Any] = {"name": volumes[found.claim]["name"], "mountPath": source.mount_path}
        mounts.append(
            mount | ({"subPath": found.path} if found.path else {}) | ({"readOnly": True} if read_only else {})
        )
    return list(volumes.values()), mounts


def _mounted(pod: Mapping[str, Any], volumes: list[dict[str, Any]], mounts: list[dict[str, Any]]) -> dict[str, Any]:
    """The pod with the volumes, mounted into the server and a collocated transformer.

    A volume that the runtime had at one of the paths, and that nothing mounts any more, goes: Knative refuses it.
    """
    containers = []
    for container in pod["containers"]:
        if container.get("name") in (CONTAINER_PREDICTOR, CONTAINER_TRANSFORMER):
            container = _with_mounts(container, mounts)
        containers.append(container)
    replaced = _mounted_names(pod["containers"]) - _mounted_names([*containers, *(pod.get("initContainers") or [])])
    present = [volume for volume in pod.get("volumes") or [] if volume.get("name") not in replaced]
    known = {volume.get("name") for volume in present}
    fresh = [volume for volume in volumes if volume["name"] not in known]
    return {**pod, "containers": containers, "volumes": [*present, *fresh]}


def _mounted_names(containers: list[dict[str, Any]]) -> set[Any]:
    return {mount.get("name") for container in containers for mount in container.get("volumeMounts") or []}


def _with_mounts(container: Mapping[str, Any], mounts: list[dict[str, Any]]) -> dict[str, Any]:
    """The container with the mounts, in place of what it has at the same paths."""
    taken = {mount["mountPath"] for mount in mounts}
    present = [mount for mount in container.get("volumeMounts") or [] if mount.get("mountPath") not in taken]
    return {**container, "volumeMounts": [*present, *mounts]}


def _with_server_download(
    pod: Mapping[str, Any], downloads: list[Source], env: list[dict[str, Any]], mounts: list[dict[str, Any]]
) -> dict[str, Any]:
    if len(downloads) == 1 and downloads[0].mount_path == MODEL_DIR:
        wanted = {"name": ENV_STORAGE_URI, "value": downloads[0].uri}
    else:
        pairs = [{"uri": source.uri, "mountPath": source.mount_path} for source in downloads]
        wanted = {"name": ENV_STORAGE_URIS, "value": json.dumps(pairs, separators=(",", ":"))}
    containers = []
    for container in pod["containers"]:
        if container.get("name") == CONTAINER_PREDICTOR:
            # What the user or the runtime says about credentials wins over what was found.
            known = merge_env(env, container.get("env") or [])
            container = _with_mounts({**container, "env": merge_env(known, [wanted])}, mounts)
        containers.append(container)
    return {**pod, "containers": containers}


def _initializer(
    downloads: list[Source], env: list[dict[str, Any]], mounts: list[dict[str, Any]], config: OperatorConfig
) -> dict[str, Any]:
    settings = config.initializer
    pairs = [text for source in downloads for text in (source.uri, source.mount_path)]
    return {
        "name": CONTAINER_STORAGE_INITIALIZER,
        "image": config.runtime_image,
        "command": ["haizen-runtime"],
        "args": ["download", *pairs],
        "env": [{"name": "HOME", "value": TMP_DIR}, *env],
        "resources": {
            "requests": {"cpu": settings.cpu_request, "memory": settings.memory_request},
            "limits": {"cpu": settings.cpu_limit, "memory": settings.memory_limit},
        },
        "securityContext": {**RESTRICTED_SECURITY_CONTEXT, "readOnlyRootFilesystem": True},
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [*mounts, {"name": _VOLUME_TMP, "mountPath": TMP_DIR}],
    }


def _ca_bundle(
    env: list[dict[str, Any]], settings: InitializerSettings
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]]]:
    """KServe's rule: a CA bundle comes from a ConfigMap named by the credentials, or by the cluster's settings."""
    values = {variable["name"]: str(variable.get("value") or "") for variable in env}
    config_map = values.get("AWS_CA_BUNDLE_CONFIGMAP") or settings.ca_bundle_config_map
    if not config_map:
        return [], [], []
    path = dirname(values.get("AWS_CA_BUNDLE", "")) or settings.ca_bundle_mount_path
    variables = [
        {"name": "CA_BUNDLE_CONFIGMAP_NAME", "value": config_map},
        {"name": "CA_BUNDLE_VOLUME_MOUNT_POINT", "value": path},
    ]
    volume = {"name": VOLUME_CA_BUNDLE, "configMap": {"name": config_map}}
    return variables, [volume], [{"name": VOLUME_CA_BUNDLE, "mountPath": path, "readOnly": True}]
