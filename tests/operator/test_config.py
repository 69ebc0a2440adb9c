"""KServe's ConfigMap and Knative's, read key by key."""

import pytest

from haizen_operator.config import (
    ConfigError,
    KnativeSettings,
    OperatorConfig,
    ResourceDefaults,
    deployment_mode,
    knative_settings,
)


def test_defaults_without_a_config_map() -> None:
    config = OperatorConfig.from_config_map(None)
    assert config == OperatorConfig()
    assert config.default_deployment_mode == "Knative"
    assert config.credentials.storage_spec_secret_name == "storage-config"
    assert config.resources == ResourceDefaults("1", "2Gi", "1", "2Gi")


@pytest.mark.parametrize(
    ("data", "attribute", "expected"),
    [
        pytest.param(
            {"deploy": '{"defaultDeploymentMode": "Serverless"}'},
            "default_deployment_mode",
            "Knative",
            id="legacy-mode",
        ),
        pytest.param(
            {"deploy": '{"defaultDeploymentMode": "RawDeployment"}'},
            "default_deployment_mode",
            "Standard",
            id="legacy-raw",
        ),
        pytest.param(
            {"security": '{"autoMountServiceAccountToken": true}'},
            "automount_service_account_token",
            True,
            id="token-on",
        ),
        pytest.param({"security": "{}"}, "automount_service_account_token", False, id="token-off-unless-asked-for"),
        pytest.param(
            {"inferenceService": '{"resource": {"cpuRequest": "2"}}'},
            "resources",
            ResourceDefaults(cpu_request="2"),
            id="resources",
        ),
        pytest.param(
            {"inferenceService": '{"serviceLabelDisallowedList": ["a"]}'},
            "label_disallowed",
            frozenset({"a"}),
            id="labels",
        ),
        pytest.param(
            {"inferenceService": '{"serviceAnnotationDisallowedList": ["a"]}'},
            "annotation_disallowed",
            frozenset({"a"}),
            id="annotations",
        ),
        pytest.param({"logger": "{not looked at"}, "default_deployment_mode", "Knative", id="other-keys-are-not-read"),
    ],
)
def test_keys(data: dict[str, str], attribute: str, expected: object) -> None:
    assert getattr(OperatorConfig.from_config_map(data), attribute) == expected


def test_credentials() -> None:
    text = """{"storageSpecSecretName": "mine", "storageSecretNameAnnotation": "a/b",
        "gcs": {"gcsCredentialFileName": "g.json"},
        "s3": {"s3AccessKeyIDName": "ID", "s3SecretAccessKeyName": "KEY",
               "s3Endpoint": "minio:9000", "s3Region": ""}}"""
    credentials = OperatorConfig.from_config_map({"credentials": text}).credentials
    assert credentials.storage_spec_secret_name == "mine"
    assert credentials.storage_secret_name_annotation == "a/b"
    assert credentials.gcs_credential_file_name == "g.json"
    assert (credentials.s3_access_key_id_name, credentials.s3_secret_access_key_name) == ("ID", "KEY")
    assert credentials.s3_defaults == {"s3Endpoint": "minio:9000"}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        pytest.param({"deploy": "{"}, "key 'deploy' of ConfigMap inferenceservice-config is not JSON", id="not-json"),
        pytest.param({"deploy": "[]"}, "must be a JSON object", id="not-an-object"),
        pytest.param({"deploy": '{"defaultDeploymentMode": "X"}'}, "use Knative, Standard or ModelMesh", id="mode"),
        pytest.param({"inferenceService": '{"resource": 1}'}, "inferenceService.resource", id="section"),
        pytest.param({"inferenceService": '{"serviceLabelDisallowedList": "a"}'}, "list of strings", id="list"),
    ],
)
def test_errors_name_the_key(data: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        OperatorConfig.from_config_map(data)


@pytest.mark.parametrize(
    ("status", "annotation", "default", "expected"),
    [
        pytest.param(None, None, "Knative", "Knative", id="default"),
        pytest.param(None, "RawDeployment", "Knative", "Standard", id="annotation"),
        pytest.param(None, "nonsense", "Knative", "Knative", id="unknown-annotation-does-not-count"),
        pytest.param("Serverless", "Standard", "Standard", "Knative", id="status-first"),
    ],
)
def test_deployment_mode(status: str | None, annotation: str | None, default: str, expected: str) -> None:
    assert deployment_mode(status, annotation, default) == expected


def test_knative_settings() -> None:
    assert knative_settings(None, None, None) == KnativeSettings()
    found = knative_settings(
        {"multi-container": "disabled"}, {"allow-zero-initial-scale": "true"}, {"max-revision-timeout-seconds": "900"}
    )
    assert found == KnativeSettings({"multi-container": "disabled"}, True, 900)
    assert knative_settings({}, {}, {"max-revision-timeout-seconds": "ten"}).max_revision_timeout_seconds == 600


def test_runtime_image() -> None:
    assert OperatorConfig.from_config_map({}, runtime_image="a:1").with_runtime_image("b:2").runtime_image == "b:2"
