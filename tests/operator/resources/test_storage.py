"""How the model's files reach the server."""

import json
from typing import Any

import pytest

from haizen_operator.api import InferenceService
from haizen_operator.config import InitializerSettings, OperatorConfig
from haizen_operator.resources.errors import ResourceError
from haizen_operator.resources.storage import attach_storage
from haizen_operator.resources.storage_access import NO_ACCESS, StorageAccess, StorageConfigEntry

CONFIG = OperatorConfig(runtime_image="haizen:1")
MODEL = {"modelFormat": {"name": "sklearn"}}
HF = {"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": {"name": "h", "key": "HF_TOKEN"}}}


def service(predictor: dict[str, Any], annotations: dict[str, str] | None = None) -> InferenceService:
    metadata = {"name": "iris", "annotations": annotations or {}}
    return InferenceService.from_manifest({"metadata": metadata, "spec": {"predictor": predictor}})


def stored(uri: str) -> dict[str, Any]:
    return {"model": {**MODEL, "storageUri": uri}}


def attach(
    predictor: dict[str, Any],
    access: StorageAccess = NO_ACCESS,
    *,
    ours: bool = True,
    config: OperatorConfig = CONFIG,
    annotations: dict[str, str] | None = None,
    env: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    pod = {"containers": [{"name": "kserve-container", "env": env or []}, {"name": "other"}]}
    return attach_storage(pod, service(predictor, annotations), access, config, server_downloads=ours)


def server(pod: dict[str, Any]) -> dict[str, Any]:
    container: dict[str, Any] = pod["containers"][0]
    return container


def test_our_server_gets_the_uri_and_an_empty_directory() -> None:
    pod = attach(stored("s3://b/m"), StorageAccess(env=(HF,)))
    assert server(pod)["env"] == [HF, {"name": "STORAGE_URI", "value": "s3://b/m"}]
    assert server(pod)["volumeMounts"] == [{"name": "kserve-provision-location", "mountPath": "/mnt/models"}]
    assert pod["volumes"] == [{"name": "kserve-provision-location", "emptyDir": {}}]
    assert "initContainers" not in pod
    assert pod["containers"][1] == {"name": "other"}


def test_what_the_user_says_about_credentials_wins() -> None:
    mine = {"name": "HF_TOKEN", "value": "mine"}
    pod = attach(stored("hf://a/b"), StorageAccess(env=(HF,)), env=[mine])
    assert server(pod)["env"] == [mine, {"name": "STORAGE_URI", "value": "hf://a/b"}]


def test_a_foreign_server_gets_an_init_container() -> None:
    pod = attach(stored("s3://b/m"), StorageAccess(env=(HF,)), ours=False)
    (init,) = pod["initContainers"]
    assert (init["name"], init["image"]) == ("storage-initializer", "haizen:1")
    assert (init["command"], init["args"]) == (["haizen-runtime"], ["download", "s3://b/m", "/mnt/models"])
    assert HF in init["env"]
    assert init["securityContext"]["runAsNonRoot"] is True
    assert {"name": "kserve-provision-location", "mountPath": "/mnt/models"} in init["volumeMounts"]
    assert server(pod)["volumeMounts"] == [
        {"name": "kserve-provision-location", "mountPath": "/mnt/models", "readOnly": True}
    ]
    assert server(pod)["env"] == []


def test_a_foreign_server_may_write_where_the_annotation_says_so() -> None:
    pod = attach(stored("s3://b/m"), ours=False, annotations={"storage.kserve.io/readonly": "false"})
    assert server(pod)["volumeMounts"] == [{"name": "kserve-provision-location", "mountPath": "/mnt/models"}]


@pytest.mark.parametrize("ours", [True, False])
@pytest.mark.parametrize(
    ("uri", "mount"),
    [
        pytest.param("pvc://claim/a/b", {"subPath": "a/b"}, id="path"),
        pytest.param("pvc://claim/a/", {"subPath": "a"}, id="trailing-slash"),
        pytest.param("pvc://claim", {}, id="root"),
    ],
)
def test_a_claim_is_mounted(ours: bool, uri: str, mount: dict[str, Any]) -> None:
    pod = attach(stored(uri), ours=ours)
    assert pod["volumes"] == [
        {"name": "kserve-pvc-source", "persistentVolumeClaim": {"claimName": "claim", "readOnly": True}}
    ]
    assert server(pod)["volumeMounts"] == [
        {"name": "kserve-pvc-source", "mountPath": "/mnt/models", **mount, "readOnly": True}
    ]
    assert "initContainers" not in pod
    assert server(pod)["env"] == []


def test_several_uris_for_our_server() -> None:
    uris = [{"uri": "s3://b/a", "mountPath": "/mnt/models/a"}, {"uri": "pvc://c/b", "mountPath": "/mnt/models/b"}]
    pod = attach({"model": MODEL, "storageUris": uris})
    (variable,) = server(pod)["env"]
    assert variable["name"] == "HAIZEN_STORAGE_URIS"
    assert json.loads(variable["value"]) == [{"uri": "s3://b/a", "mountPath": "/mnt/models/a"}]
    assert [(it["name"], it["mountPath"]) for it in server(pod)["volumeMounts"]] == [
        ("kserve-provision-location", "/mnt/models/a"),
        ("kserve-pvc-source", "/mnt/models/b"),
    ]


def test_several_uris_for_a_foreign_server() -> None:
    uris = [{"uri": "s3://b/a", "mountPath": "/mnt/m/a"}, {"uri": "s3://b/b", "mountPath": "/mnt/m/b"}]
    pod = attach({"model": MODEL, "storageUris": uris}, ours=False)
    (init,) = pod["initContainers"]
    assert init["args"] == ["download", "s3://b/a", "/mnt/m/a", "s3://b/b", "/mnt/m/b"]
    assert server(pod)["volumeMounts"][0]["mountPath"] == "/mnt/m"


def test_a_custom_containers_uri_is_fetched_and_replaced_by_the_path() -> None:
    variable = {"name": "STORAGE_URI", "value": "gs://b/m"}
    pod = attach({"containers": [{"env": [variable]}]}, ours=False, env=[variable])
    assert server(pod)["env"] == [{"name": "STORAGE_URI", "value": "/mnt/models"}]
    assert pod["initContainers"][0]["args"] == ["download", "gs://b/m", "/mnt/models"]


@pytest.mark.parametrize(
    ("uri", "volume"), [("s3://b/m", "kserve-provision-location"), ("pvc://c/m", "kserve-pvc-source")]
)
def test_what_a_runtime_had_at_the_models_path_gives_way(uri: str, volume: str) -> None:
    container = {"name": "kserve-container", "volumeMounts": [{"name": "old", "mountPath": "/mnt/models"}]}
    pod = {"containers": [container], "volumes": [{"name": "old", "emptyDir": {}}]}
    found = attach_storage(pod, service(stored(uri)), NO_ACCESS, CONFIG, server_downloads=True)
    assert [it["name"] for it in found["volumes"]] == [volume]
    assert [it["name"] for it in server(found)["volumeMounts"]] == [volume]


def test_no_storage_no_volumes() -> None:
    assert attach({"model": MODEL}) == {"containers": [{"name": "kserve-container", "env": []}, {"name": "other"}]}


def test_a_ca_bundle_of_the_cluster() -> None:
    config = OperatorConfig(initializer=InitializerSettings(ca_bundle_config_map="ca"))
    pod = attach(stored("s3://b/m"), ours=False, config=config)
    (init,) = pod["initContainers"]
    assert {"name": "CA_BUNDLE_CONFIGMAP_NAME", "value": "ca"} in init["env"]
    assert {"name": "cabundle-cert", "mountPath": "/etc/ssl/custom-certs", "readOnly": True} in init["volumeMounts"]
    assert {"name": "cabundle-cert", "configMap": {"name": "ca"}} in pod["volumes"]


def access(**entries: StorageConfigEntry) -> StorageAccess:
    return StorageAccess(storage_config=entries, storage_config_secret="storage-config")


def config_ref(key: str) -> dict[str, Any]:
    return {"name": "STORAGE_CONFIG", "valueFrom": {"secretKeyRef": {"name": "storage-config", "key": key}}}


S3 = StorageConfigEntry("s3", "b")


@pytest.mark.parametrize(
    ("storage", "found", "uri", "env"),
    [
        pytest.param({"path": "m", "key": "k"}, access(k=S3), "s3://b/m", [config_ref("k")], id="key"),
        pytest.param({"path": "/m"}, access(default=S3), "s3://b/m", [config_ref("default")], id="default"),
        pytest.param(
            {"path": "m", "parameters": {"type": "s3", "bucket": "c"}},
            access(default_s3=S3),
            "s3://c/m",
            [config_ref("default_s3"), {"name": "STORAGE_OVERRIDE_CONFIG", "value": '{"bucket":"c","type":"s3"}'}],
            id="default-of-the-type",
        ),
        pytest.param(
            {"path": "m", "parameters": {"type": "s3", "bucket": "c"}},
            StorageAccess(storage_config_secret="storage-config"),
            "s3://c/m",
            [{"name": "STORAGE_OVERRIDE_CONFIG", "value": '{"bucket":"c","type":"s3"}'}],
            id="parameters-alone",
        ),
    ],
)
def test_storage_spec(storage: dict[str, Any], found: StorageAccess, uri: str, env: list[dict[str, Any]]) -> None:
    pod = attach({"model": {**MODEL, "storage": storage}}, found)
    assert server(pod)["env"] == [*env, {"name": "STORAGE_URI", "value": uri}]


NO_SECRET = StorageAccess(storage_config_secret="storage-config")


@pytest.mark.parametrize(
    ("predictor", "found", "reason", "message"),
    [
        pytest.param(
            stored("ftp://x"),
            NO_ACCESS,
            "UnsupportedStorageUri",
            "storageUri, must be one of: "
            "[gs://, s3://, pvc://, file://, "
            "https://, http://, hdfs://, webhdfs://, oci://, oci+native://, oci+fetch://, hf://] "
            "or match https://{}.blob.core.windows.net/{}/{} "
            "or be an absolute or relative local path. StorageUri [ftp://x] is not supported",
            id="kserves-words",
        ),
        pytest.param(stored("oci://x/y"), NO_ACCESS, "NotSupportedYet", "oci:// is not supported yet", id="oci"),
        pytest.param(stored("hdfs://x/y"), NO_ACCESS, "NotSupportedYet", "hdfs:// is not supported yet", id="hdfs"),
        pytest.param(
            stored("https://a.file.core.windows.net/x"),
            NO_ACCESS,
            "NotSupportedYet",
            "Azure file shares",
            id="azure-files",
        ),
        pytest.param(
            stored("https://a.blob.core.windows.net/"),
            NO_ACCESS,
            "UnsupportedStorageUri",
            "must be one of",
            id="azure-without-a-container",
        ),
        pytest.param(
            stored("pvc:///x"), NO_ACCESS, "InvalidStorage", "must be pvc://<claim>/<path>", id="claim-without-a-name"
        ),
        pytest.param(stored("pvc://c/../x"), NO_ACCESS, "InvalidStorage", "without '..'", id="claim-escape"),
        pytest.param(
            {
                "model": {
                    **MODEL,
                    "storageUri": "s3://a",
                    "storage": {"path": "p", "parameters": {"type": "s3", "bucket": "b"}},
                }
            },
            NO_ACCESS,
            "InvalidStorage",
            "must provide only one of storageUri and storage",
            id="two-ways",
        ),
        pytest.param(
            {
                "model": MODEL,
                "storageUris": [{"uri": "s3://a", "mountPath": "/a"}, {"uri": "s3://b", "mountPath": "/b"}],
            },
            NO_ACCESS,
            "InvalidStorage",
            "common parent folder",
            id="no-common-parent",
        ),
        pytest.param(
            {"model": MODEL, "storageUris": [{"uri": "s3://a", "mountPath": "/mnt/../etc"}]},
            NO_ACCESS,
            "InvalidStorage",
            "no '..'",
            id="mount-path-escape",
        ),
        pytest.param(
            {"model": {**MODEL, "storage": {"key": "k"}}},
            access(),
            "InvalidStorage",
            "specified storage key k not found in storage secret storage-config",
            id="key-not-found",
        ),
        pytest.param(
            {"model": {**MODEL, "storage": {"key": "k"}}},
            NO_SECRET,
            "InvalidStorage",
            "can't read storage secret storage-config",
            id="secret-not-found",
        ),
        pytest.param(
            {"model": {**MODEL, "storage": {"path": "p"}}},
            access(),
            "InvalidStorage",
            "unable to determine storage type",
            id="no-type",
        ),
        pytest.param(
            {"model": {**MODEL, "storage": {"path": "p"}}},
            access(default=StorageConfigEntry("s3")),
            "InvalidStorage",
            "format [s3] requires a bucket but one wasn't found in storage data or parameters",
            id="no-bucket",
        ),
        pytest.param(
            {"model": {**MODEL, "storage": {"path": "p"}}},
            access(default=StorageConfigEntry("ftp")),
            "InvalidStorage",
            "storage type [ftp] is not supported",
            id="unknown-type",
        ),
        pytest.param(
            {"model": {**MODEL, "storage": {"path": "p"}}},
            access(default=StorageConfigEntry(error="key 'default' is not a JSON object")),
            "InvalidStorage",
            "invalid json encountered in key default of storage secret storage-config",
            id="broken-json",
        ),
    ],
)
def test_refused(predictor: dict[str, Any], found: StorageAccess, reason: str, message: str) -> None:
    with pytest.raises(ResourceError) as caught:
        attach(predictor, found)
    assert caught.value.reason == reason
    assert message in caught.value.message


@pytest.mark.parametrize(
    "uri",
    [
        "gs://b/m",
        "s3://b/m",
        "hf://o/m:r",
        "http://h/m.zip",
        "https://h/m",
        "file:///m",
        "/m",
        "m",
        "https://a.blob.core.windows.net/c/m",
    ],
)
def test_supported_uris(uri: str) -> None:
    assert {"name": "STORAGE_URI", "value": uri} in server(attach(stored(uri)))["env"]
