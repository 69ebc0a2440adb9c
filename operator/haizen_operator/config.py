"""Settings that decide what the operator makes: KServe's ConfigMap inferenceservice-config, Knative's, and ours.

Pure: the ConfigMaps' data is an argument, and so are the images.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from haizen_operator.names import ANNOTATION_STORAGE_SECRET, STORAGE_CONFIG_SECRET

DEFAULT_RUNTIME_IMAGE = "ghcr.io/haizen-dev/haizen-runtime:0.1.0"
KNATIVE_MODE = "Knative"
STANDARD_MODE = "Standard"
MODELMESH_MODE = "ModelMesh"
_MODES = {
    "Knative": KNATIVE_MODE,
    "Serverless": KNATIVE_MODE,
    "Standard": STANDARD_MODE,
    "RawDeployment": STANDARD_MODE,
    "ModelMesh": MODELMESH_MODE,
}


class ConfigError(ValueError):
    """A ConfigMap that cannot be read; the message names the key and what was expected."""


@dataclass(frozen=True, slots=True)
class ResourceDefaults:
    """Resources for custom containers that name none (KServe's inferenceService.resource)."""

    cpu_request: str = "1"
    memory_request: str = "2Gi"
    cpu_limit: str = "1"
    memory_limit: str = "2Gi"


@dataclass(frozen=True, slots=True)
class InitializerSettings:
    """The init container that downloads models for servers that do not do it themselves."""

    cpu_request: str = "100m"
    memory_request: str = "100Mi"
    cpu_limit: str = "1"
    memory_limit: str = "1Gi"
    ca_bundle_config_map: str = ""
    ca_bundle_mount_path: str = "/etc/ssl/custom-certs"


@dataclass(frozen=True, slots=True)
class CredentialSettings:
    """How credentials are named in secrets (KServe's key ``credentials``)."""

    storage_spec_secret_name: str = STORAGE_CONFIG_SECRET
    storage_secret_name_annotation: str = ANNOTATION_STORAGE_SECRET
    s3_access_key_id_name: str = "AWS_ACCESS_KEY_ID"
    s3_secret_access_key_name: str = "AWS_SECRET_ACCESS_KEY"  # noqa: S105 (the name of a key)
    #: S3 settings for secrets that say nothing themselves, by KServe's key (s3Endpoint, s3UseHttps, ...).
    s3_defaults: Mapping[str, str] = field(default_factory=dict)
    gcs_credential_file_name: str = "gcloud-application-credentials.json"


@dataclass(frozen=True, slots=True)
class KnativeSettings:
    """What the cluster's Knative allows; its own defaults where its ConfigMaps say nothing."""

    #: Data of ConfigMap config-features; none when it could not be read, so that nothing is reported as missing.
    features: Mapping[str, str] | None = None
    allow_zero_initial_scale: bool = False
    max_revision_timeout_seconds: int = 600


@dataclass(frozen=True, slots=True)
class OperatorConfig:
    """Everything the pure part needs to know besides the objects themselves."""

    runtime_image: str = DEFAULT_RUNTIME_IMAGE
    default_deployment_mode: str = KNATIVE_MODE
    resources: ResourceDefaults = ResourceDefaults()
    initializer: InitializerSettings = InitializerSettings()
    credentials: CredentialSettings = field(default_factory=CredentialSettings)
    knative: KnativeSettings = KnativeSettings()
    annotation_disallowed: frozenset[str] = frozenset()
    label_disallowed: frozenset[str] = frozenset()
    #: Model servers need no token of the API server, so none is mounted unless the cluster's config asks for it
    #: (KServe's meaning of a missing key ``security`` too).
    automount_service_account_token: bool = False

    @classmethod
    def from_config_map(
        cls,
        data: Mapping[str, str] | None,
        *,
        runtime_image: str = DEFAULT_RUNTIME_IMAGE,
        knative: KnativeSettings | None = None,
    ) -> "OperatorConfig":
        """Read the data of KServe's ConfigMap inferenceservice-config; none for defaults throughout.

        Raises ``ConfigError`` for a key whose JSON cannot be used. Keys that do not matter to us are not looked at.
        """
        sections = {key: _section(data or {}, key) for key in _SECTIONS}
        service, deploy = sections["inferenceService"], sections["deploy"]
        return cls(
            runtime_image=runtime_image,
            default_deployment_mode=_default_mode(deploy),
            resources=_resource_defaults(_object(service, "resource", "inferenceService")),
            initializer=_initializer(sections["storageInitializer"]),
            credentials=_credentials(sections["credentials"]),
            knative=knative or KnativeSettings(),
            annotation_disallowed=frozenset(_strings(service, "serviceAnnotationDisallowedList", "inferenceService")),
            label_disallowed=frozenset(_strings(service, "serviceLabelDisallowedList", "inferenceService")),
            automount_service_account_token=sections["security"].get("autoMountServiceAccountToken") is True,
        )

    def with_runtime_image(self, image: str) -> "OperatorConfig":
        """The same settings with another image of our runtime."""
        return replace(self, runtime_image=image)


_SECTIONS = ("inferenceService", "deploy", "storageInitializer", "credentials", "security")


def knative_settings(
    features: Mapping[str, str] | None,
    autoscaler: Mapping[str, str] | None,
    defaults: Mapping[str, str] | None,
) -> KnativeSettings:
    """Read Knative's ConfigMaps config-features, config-autoscaler and config-defaults; none for one not readable."""
    text = (defaults or {}).get("max-revision-timeout-seconds", "")
    maximum = int(text) if text.isdecimal() else KnativeSettings().max_revision_timeout_seconds
    return KnativeSettings(
        features=features,
        allow_zero_initial_scale=(autoscaler or {}).get("allow-zero-initial-scale", "false").lower() == "true",
        max_revision_timeout_seconds=maximum,
    )


def deployment_mode(status_mode: str | None, annotation: str | None, default: str) -> str:
    """The mode a service is deployed in: status first, then its annotation, then the default (KServe's rule).

    Legacy names (Serverless, RawDeployment) are read as the new ones; an annotation that is no mode is not counted.
    """
    if status_mode:
        return _MODES.get(status_mode, status_mode)
    return _MODES.get(annotation or "", default)


def _section(data: Mapping[str, str], key: str) -> dict[str, Any]:
    text = data.get(key, "")
    if not text.strip():
        return {}
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigError(f"key {key!r} of ConfigMap inferenceservice-config is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise ConfigError(f"key {key!r} of ConfigMap inferenceservice-config must be a JSON object")
    return value


def _object(section: Mapping[str, Any], key: str, name: str) -> dict[str, Any]:
    value = section.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ConfigError(f"{name}.{key} of ConfigMap inferenceservice-config must be a JSON object")
    return value


def _strings(section: Mapping[str, Any], key: str, name: str) -> list[str]:
    value = section.get(key)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ConfigError(f"{name}.{key} of ConfigMap inferenceservice-config must be a list of strings")
    return value


def _default_mode(deploy: Mapping[str, Any]) -> str:
    mode = deploy.get("defaultDeploymentMode") or KNATIVE_MODE
    if mode not in _MODES:
        raise ConfigError(
            f"deploy.defaultDeploymentMode of ConfigMap inferenceservice-config is {mode!r}; "
            "use Knative, Standard or ModelMesh"
        )
    return _MODES[mode]


def _resource_defaults(section: Mapping[str, Any]) -> ResourceDefaults:
    default = ResourceDefaults()
    return ResourceDefaults(
        cpu_request=str(section.get("cpuRequest") or default.cpu_request),
        memory_request=str(section.get("memoryRequest") or default.memory_request),
        cpu_limit=str(section.get("cpuLimit") or default.cpu_limit),
        memory_limit=str(section.get("memoryLimit") or default.memory_limit),
    )


def _initializer(section: Mapping[str, Any]) -> InitializerSettings:
    default = InitializerSettings()
    return InitializerSettings(
        cpu_request=str(section.get("cpuRequest") or default.cpu_request),
        memory_request=str(section.get("memoryRequest") or default.memory_request),
        cpu_limit=str(section.get("cpuLimit") or default.cpu_limit),
        memory_limit=str(section.get("memoryLimit") or default.memory_limit),
        ca_bundle_config_map=str(section.get("caBundleConfigMapName") or ""),
        ca_bundle_mount_path=str(section.get("caBundleVolumeMountPath") or default.ca_bundle_mount_path),
    )


def _credentials(section: Mapping[str, Any]) -> CredentialSettings:
    default = CredentialSettings()
    s3, gcs = _object(section, "s3", "credentials"), _object(section, "gcs", "credentials")
    return CredentialSettings(
        storage_spec_secret_name=str(section.get("storageSpecSecretName") or default.storage_spec_secret_name),
        storage_secret_name_annotation=str(
            section.get("storageSecretNameAnnotation") or default.storage_secret_name_annotation
        ),
        s3_access_key_id_name=str(s3.get("s3AccessKeyIDName") or default.s3_access_key_id_name),
        s3_secret_access_key_name=str(s3.get("s3SecretAccessKeyName") or default.s3_secret_access_key_name),
        s3_defaults={key: str(value) for key, value in sorted(s3.items()) if value and "Name" not in key},
        gcs_credential_file_name=str(gcs.get("gcsCredentialFileName") or default.gcs_credential_file_name),
    )
