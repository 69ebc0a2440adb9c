"""Credentials from ServiceAccount secrets and storage-config, as KServe finds them: by the keys of each secret.

The objects given here may hold secret values; what comes out refers to them by name and key. Only what KServe itself
writes in plain text (endpoint, region and the like; a bucket's name) is copied.
"""

import base64
import binascii
import json
from collections.abc import Iterable, Mapping
from typing import Any

from haizen_operator.api import InferenceService
from haizen_operator.config import CredentialSettings
from haizen_operator.names import DEFAULT_SERVICE_ACCOUNT, VOLUME_GCS_CREDENTIALS
from haizen_operator.resources.merge import merge_env
from haizen_operator.resources.s3_environment import s3_environment
from haizen_operator.resources.storage_access import StorageAccess, StorageConfigEntry

_GCS_MOUNT = "/var/secrets/"
_IRSA_ANNOTATION = "eks.amazonaws.com/role-arn"
_AZURE_KEYS = (
    "AZURE_SUBSCRIPTION_ID",
    "AZURE_TENANT_ID",
    "AZURE_CLIENT_ID",
    "AZURE_CLIENT_SECRET",
    "AZURE_STORAGE_ACCESS_KEY",
    "AZURE_ACCESS_TOKEN",
    "AZURE_ACCESS_EXPIRES_ON_SECONDS",
    "AZURE_ACCOUNT_NAME",
    "AZURE_SERVICE_URL",
)
_AZURE_LEGACY = {
    "AZURE_SUBSCRIPTION_ID": "AZ_SUBSCRIPTION_ID",
    "AZURE_TENANT_ID": "AZ_TENANT_ID",
    "AZURE_CLIENT_ID": "AZ_CLIENT_ID",
    "AZURE_CLIENT_SECRET": "AZ_CLIENT_SECRET",
}
_AZURE_MARKS = ("AZ_CLIENT_ID", "AZURE_CLIENT_ID", "AZURE_ACCESS_TOKEN")
_TOKEN_KEYS = ("HF_TOKEN", "MODELSCOPE_API_TOKEN")


def service_account_name(isvc: InferenceService) -> str:
    """The ServiceAccount the predictor's pods run as."""
    return str(isvc.spec.predictor.pod_spec().get("serviceAccountName") or DEFAULT_SERVICE_ACCOUNT)


def secret_names(
    isvc: InferenceService, service_account: Mapping[str, Any] | None, settings: CredentialSettings
) -> list[str]:
    """Names of the secrets to read before calling ``storage_access``, in order, each once.

    KServe's rule: the annotation serving.kserve.io/storageSecretName replaces the ServiceAccount's secrets; a
    predictor with ``storage`` uses the secret storage-config (or the annotated one) alone.
    """
    annotated = isvc.metadata.annotations.get(settings.storage_secret_name_annotation)
    model = isvc.spec.predictor.effective_model()
    if model is not None and model.storage is not None:
        return [annotated or settings.storage_spec_secret_name]
    if annotated:
        return [annotated]
    return list(dict.fromkeys(ref["name"] for ref in (service_account or {}).get("secrets") or [] if ref.get("name")))


def storage_access(
    isvc: InferenceService,
    service_account: Mapping[str, Any] | None,
    secrets: Mapping[str, Mapping[str, Any]],
    settings: CredentialSettings,
) -> StorageAccess:
    """Describe what gives a predictor access to its store.

    ``service_account`` is the object the pods run as, none if there is none; ``secrets`` are the objects found, by
    name, of those that ``secret_names`` asks for.
    """
    names = secret_names(isvc, service_account, settings)
    missing = tuple(f"secret {name!r} was not found" for name in names if name not in secrets)
    model = isvc.spec.predictor.effective_model()
    if model is not None and model.storage is not None:
        secret = secrets.get(names[0])
        return StorageAccess(
            storage_config=None if secret is None else storage_config_entries(secret),
            storage_config_secret=names[0],
        )
    env: list[dict[str, Any]] = []
    volumes: list[dict[str, Any]] = []
    mounts: list[dict[str, Any]] = []
    account_annotations = ((service_account or {}).get("metadata") or {}).get("annotations") or {}
    if _IRSA_ANNOTATION in account_annotations:
        env = s3_environment(account_annotations, {}, settings)
    for secret in (secrets[name] for name in names if name in secrets):
        found, volume, mount = _from_secret(secret, settings)
        env = merge_env(env, found)
        if volume is not None and volume["name"] not in {known["name"] for known in volumes}:
            volumes.append(volume)
            mounts.append(mount)
    return StorageAccess(tuple(env), tuple(volumes), tuple(mounts), warnings=missing)


def storage_config_entries(secret: Mapping[str, Any]) -> dict[str, StorageConfigEntry]:
    """The keys of a storage-config secret with type and bucket, which are no secrets."""
    return {key: _storage_config_entry(key, text) for key, text in sorted(_decoded(secret).items())}


def _storage_config_entry(key: str, text: str) -> StorageConfigEntry:
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        value = None
    if not isinstance(value, dict):
        # The text of the JSON error would quote the secret.
        return StorageConfigEntry(error=f"key {key!r} is not a JSON object")
    return StorageConfigEntry(
        type=_text_or_none(value.get("type")),
        bucket=_text_or_none(value.get("bucket")),
        ca_bundle_config_map=_text_or_none(value.get("cabundle_configmap")),
    )


def _from_secret(
    secret: Mapping[str, Any], settings: CredentialSettings
) -> tuple[list[dict[str, Any]], dict[str, Any] | None, dict[str, Any]]:
    """Environment, volume and mount of one secret, by the first of KServe's keys that it has."""
    name, keys = secret["metadata"]["name"], _keys(secret)
    if settings.s3_secret_access_key_name in keys:
        annotations = secret["metadata"].get("annotations") or {}
        env = [
            _secret_key("AWS_ACCESS_KEY_ID", name, settings.s3_access_key_id_name),
            _secret_key("AWS_SECRET_ACCESS_KEY", name, settings.s3_secret_access_key_name),
            *s3_environment(annotations, _decoded(secret), settings),
        ]
        return env, None, {}
    if settings.gcs_credential_file_name in keys:
        path = f"{_GCS_MOUNT}{settings.gcs_credential_file_name}"
        volume = {"name": VOLUME_GCS_CREDENTIALS, "secret": {"secretName": name}}
        mount = {"name": VOLUME_GCS_CREDENTIALS, "mountPath": _GCS_MOUNT, "readOnly": True}
        return [{"name": "GOOGLE_APPLICATION_CREDENTIALS", "value": path}], volume, mount
    if any(mark in keys for mark in _AZURE_MARKS):
        return _azure(name, keys), None, {}
    if "AZURE_STORAGE_ACCESS_KEY" in keys:
        return [_secret_key("AZURE_STORAGE_ACCESS_KEY", name, "AZURE_STORAGE_ACCESS_KEY")], None, {}
    if "https-host" in keys and "headers" in keys:
        # KServe copies the headers (tokens, that is) into the pod as plain text; ours refers to them.
        host = _decoded(secret).get("https-host", "").strip()
        return [_secret_key(f"{host}-headers", name, "headers")] if host else [], None, {}
    return [_secret_key(key, name, key) for key in _TOKEN_KEYS if key in keys][:1], None, {}


def _azure(name: str, keys: Iterable[str]) -> list[dict[str, Any]]:
    present = set(keys)
    env = []
    for variable in _AZURE_KEYS:
        legacy = _AZURE_LEGACY.get(variable)
        key = legacy if legacy in present else variable
        if key is not None and key in present:
            env.append(_secret_key(variable, name, key))
    return env


def _secret_key(variable: str, secret: str, key: str) -> dict[str, Any]:
    return {"name": variable, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}


def _keys(secret: Mapping[str, Any]) -> set[str]:
    return {*(secret.get("data") or {}), *(secret.get("stringData") or {})}


def _decoded(secret: Mapping[str, Any]) -> dict[str, str]:
    decoded = {}
    for key, value in (secret.get("data") or {}).items():
        try:
            decoded[key] = base64.b64decode(value or "", validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            continue  # a binary file, which none of the plain settings is
    return {**decoded, **(secret.get("stringData") or {})}


def _text_or_none(value: Any) -> str | None:
    return str(value) if value not in (None, "") else None
