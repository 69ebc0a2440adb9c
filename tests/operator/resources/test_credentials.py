"""Credentials: found by the keys of secrets, passed on by reference."""

import base64
import json
from typing import Any

import pytest

from haizen_operator.api import InferenceService
from haizen_operator.config import CredentialSettings
from haizen_operator.resources.credentials import secret_names, service_account_name, storage_access

PLANTED = "planted-secret-value"
SETTINGS = CredentialSettings()


def service(predictor: dict[str, Any] | None = None, annotations: dict[str, str] | None = None) -> InferenceService:
    predictor = predictor or {"sklearn": {"storageUri": "s3://b/m"}}
    return InferenceService.from_manifest(
        {"metadata": {"name": "iris", "annotations": annotations or {}}, "spec": {"predictor": predictor}}
    )


def secret(name: str, data: dict[str, str], annotations: dict[str, str] | None = None) -> dict[str, Any]:
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    return {"metadata": {"name": name, "annotations": annotations or {}}, "data": encoded}


def account(*names: str, **annotations: str) -> dict[str, Any]:
    return {"metadata": {"name": "sa", "annotations": annotations}, "secrets": [{"name": name} for name in names]}


def ref(variable: str, name: str, key: str) -> dict[str, Any]:
    return {"name": variable, "valueFrom": {"secretKeyRef": {"name": name, "key": key}}}


S3 = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": PLANTED}
S3_REFS = [
    ref("AWS_ACCESS_KEY_ID", "s", "AWS_ACCESS_KEY_ID"),
    ref("AWS_SECRET_ACCESS_KEY", "s", "AWS_SECRET_ACCESS_KEY"),
]


@pytest.mark.parametrize(
    ("given_secret", "env"),
    [
        pytest.param(secret("s", S3), S3_REFS, id="s3"),
        pytest.param(
            secret(
                "s",
                S3,
                {
                    "serving.kserve.io/s3-endpoint": "minio:9000",
                    "serving.kserve.io/s3-usehttps": "0",
                    "serving.kserve.io/s3-region": "eu",
                },
            ),
            [
                *S3_REFS,
                {"name": "S3_USE_HTTPS", "value": "0"},
                {"name": "S3_ENDPOINT", "value": "minio:9000"},
                {"name": "AWS_ENDPOINT_URL", "value": "http://minio:9000"},
                {"name": "AWS_DEFAULT_REGION", "value": "eu"},
            ],
            id="s3-annotations",
        ),
        pytest.param(
            secret("s", {**S3, "S3_ENDPOINT": "https://minio:9000", "S3_VERIFY_SSL": "0"}),
            [
                *S3_REFS,
                {"name": "S3_USE_HTTPS", "value": "1"},
                {"name": "S3_ENDPOINT", "value": "minio:9000"},
                {"name": "AWS_ENDPOINT_URL", "value": "https://minio:9000"},
                {"name": "S3_VERIFY_SSL", "value": "0"},
            ],
            id="s3-keys",
        ),
        pytest.param(secret("s", {"HF_TOKEN": PLANTED}), [ref("HF_TOKEN", "s", "HF_TOKEN")], id="hugging-face"),
        pytest.param(
            secret("s", {"AZURE_STORAGE_ACCESS_KEY": PLANTED}),
            [ref("AZURE_STORAGE_ACCESS_KEY", "s", "AZURE_STORAGE_ACCESS_KEY")],
            id="azure-key",
        ),
        pytest.param(
            secret("s", {"AZ_CLIENT_ID": "x", "AZ_CLIENT_SECRET": PLANTED}),
            [ref("AZURE_CLIENT_ID", "s", "AZ_CLIENT_ID"), ref("AZURE_CLIENT_SECRET", "s", "AZ_CLIENT_SECRET")],
            id="azure-legacy-names",
        ),
        pytest.param(
            secret("s", {"https-host": "models.example", "headers": PLANTED}),
            [ref("models.example-headers", "s", "headers")],
            id="https-headers-by-reference",
        ),
        pytest.param(secret("s", {"password": PLANTED}), [], id="a-secret-of-something-else"),
    ],
)
def test_environment(given_secret: dict[str, Any], env: list[dict[str, Any]]) -> None:
    access = storage_access(service(), account("s"), {"s": given_secret}, SETTINGS)
    assert list(access.env) == env
    assert PLANTED not in repr(access)
    assert base64.b64encode(PLANTED.encode()).decode() not in repr(access)


def test_google_credentials_are_mounted() -> None:
    given_secret = secret("g", {"gcloud-application-credentials.json": PLANTED})
    access = storage_access(service(), account("g"), {"g": given_secret}, SETTINGS)
    assert access.env == (
        {"name": "GOOGLE_APPLICATION_CREDENTIALS", "value": "/var/secrets/gcloud-application-credentials.json"},
    )
    assert access.volumes == ({"name": "user-gcp-sa", "secret": {"secretName": "g"}},)
    assert access.volume_mounts == ({"name": "user-gcp-sa", "mountPath": "/var/secrets/", "readOnly": True},)


def test_several_secrets_and_a_missing_one() -> None:
    secrets = {"s": secret("s", S3), "h": secret("h", {"HF_TOKEN": PLANTED})}
    access = storage_access(service(), account("s", "gone", "h"), secrets, SETTINGS)
    assert [it["name"] for it in access.env] == ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "HF_TOKEN"]
    assert access.warnings == ("secret 'gone' was not found",)


def test_iam_role_of_the_service_account() -> None:
    given_account = account(**{"eks.amazonaws.com/role-arn": "arn", "serving.kserve.io/s3-region": "eu"})
    access = storage_access(service(), given_account, {}, SETTINGS)
    assert access.env == ({"name": "AWS_DEFAULT_REGION", "value": "eu"},)


def test_cluster_defaults_for_s3() -> None:
    settings = CredentialSettings(s3_defaults={"s3Endpoint": "minio:9000", "s3UseHttps": "0"})
    access = storage_access(service(), account("s"), {"s": secret("s", S3)}, settings)
    assert {"name": "AWS_ENDPOINT_URL", "value": "http://minio:9000"} in access.env


@pytest.mark.parametrize(
    ("isvc", "given_account", "names"),
    [
        pytest.param(service(), account("a", "b", "a"), ["a", "b"], id="service-account"),
        pytest.param(service(), None, [], id="no-service-account"),
        pytest.param(
            service(annotations={"serving.kserve.io/storageSecretName": "mine"}),
            account("a"),
            ["mine"],
            id="annotation-replaces",
        ),
        pytest.param(
            service({"model": {"modelFormat": {"name": "x"}, "storage": {"path": "p"}}}),
            account("a"),
            ["storage-config"],
            id="storage-spec",
        ),
        pytest.param(
            service(
                {"model": {"modelFormat": {"name": "x"}, "storage": {"path": "p"}}},
                {"serving.kserve.io/storageSecretName": "mine"},
            ),
            None,
            ["mine"],
            id="storage-spec-annotated",
        ),
    ],
)
def test_which_secrets_to_read(isvc: InferenceService, given_account: dict[str, Any] | None, names: list[str]) -> None:
    assert secret_names(isvc, given_account, SETTINGS) == names


def test_storage_config_keeps_type_and_bucket_only() -> None:
    isvc = service({"model": {"modelFormat": {"name": "x"}, "storage": {"path": "p"}}})
    entry = {"type": "s3", "bucket": "b", "secret_access_key": PLANTED}
    data = {"default": json.dumps(entry), "broken": f"{{{PLANTED}"}
    access = storage_access(isvc, None, {"storage-config": secret("storage-config", data)}, SETTINGS)
    assert access.storage_config is not None
    assert (access.storage_config["default"].type, access.storage_config["default"].bucket) == ("s3", "b")
    assert access.storage_config["broken"].error == "key 'broken' is not a JSON object"
    assert PLANTED not in repr(access)


@pytest.mark.parametrize(
    ("predictor", "expected"),
    [({"sklearn": {}}, "default"), ({"sklearn": {}, "serviceAccountName": "mine"}, "mine")],
    ids=["default", "named"],
)
def test_service_account_name(predictor: dict[str, Any], expected: str) -> None:
    assert service_account_name(service(predictor)) == expected
