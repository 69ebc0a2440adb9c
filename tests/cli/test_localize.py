"""From the operator's container to a process on this machine: tables of cases."""

import base64
import re
from pathlib import Path
from typing import Any

import pytest

from haizen_cli.errors import CliError
from haizen_cli.run.local_files import absolute_uri
from haizen_cli.run.localize import Download, expand, localize, relocate, without_option

OURS = "ghcr.io/haizen-dev/haizen-runtime:0.1.0"
SECRET = {"metadata": {"name": "s3"}, "data": {"id": base64.b64encode(b"me").decode()}, "stringData": {"key": "k"}}


def template(container: dict[str, Any] | None = None, **pod: Any) -> dict[str, Any]:
    base = {"name": "kserve-container", "image": OURS, "args": ["--model_name=m", "--model_dir=/mnt/models"]}
    return {"spec": {"containers": [{**base, **(container or {})}], **pod}}


def local(container: dict[str, Any] | None = None, user: dict[str, str] | None = None, **pod: Any) -> Any:
    return localize(template(container, **pod), secrets=[SECRET], config_maps=[], user=user or {})


def test_arguments_get_this_machines_port_and_folder() -> None:
    container = local(
        {"args": ["--http_port=8080", "--model_dir=/mnt/models", "--a", "b"], "command": ["haizen-runtime"]}
    )
    assert container.arguments_for(4711, {"/mnt/models": Path("/home/me/iris")}) == (
        "--model_dir=/home/me/iris",
        "--a",
        "b",
        "--http_port=4711",
    )


@pytest.mark.parametrize(
    ("env", "wanted"),
    [
        pytest.param([{"name": "A", "value": "1"}], {"A": "1"}, id="a value"),
        pytest.param(
            [{"name": "A", "value": "1"}, {"name": "B", "value": "$(A)$(C)$$(A)"}],
            {"A": "1", "B": "1$(C)$(A)"},
            id="references",
        ),
        pytest.param(
            [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s3", "key": "id"}}}], {"A": "me"}, id="data"
        ),
        pytest.param(
            [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s3", "key": "key"}}}], {"A": "k"}, id="stringData"
        ),
        pytest.param(
            [{"name": "MINE", "valueFrom": {"secretKeyRef": {"name": "no", "key": "key"}}}], {}, id="the user's own"
        ),
        pytest.param(
            [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "no", "key": "key", "optional": True}}}],
            {},
            id="optional",
        ),
        pytest.param([{"name": "HOME", "value": "/tmp"}, {"name": "PORT", "value": "1"}], {}, id="a pod's own"),
        pytest.param([{"name": "STORAGE_URI", "value": "s3://b/m"}], {}, id="fetched before"),
    ],
)
def test_environment(env: list[dict[str, Any]], wanted: dict[str, str]) -> None:
    assert local({"env": env}, user={"MINE": "x"}).environment == wanted


def test_a_file_of_a_mounted_secret_is_the_users_own() -> None:
    container = local(
        {
            "env": [{"name": "GOOGLE_APPLICATION_CREDENTIALS", "value": "/var/secrets/key.json"}],
            "volumeMounts": [{"name": "gcp", "mountPath": "/var/secrets/"}],
        }
    )
    assert container.environment == {}


INITIALIZER = {
    "name": "storage-initializer",
    "args": ["download", "gs://b/m", "/mnt/models"],
    "env": [{"name": "TOKEN", "value": "t"}],
}


@pytest.mark.parametrize(
    ("container", "pod", "wanted"),
    [
        pytest.param({}, {}, [], id="nothing"),
        pytest.param(
            {"env": [{"name": "STORAGE_URI", "value": "s3://b/m"}]}, {}, [("s3://b/m", "/mnt/models")], id="one"
        ),
        pytest.param(
            {
                "env": [
                    {"name": "HAIZEN_STORAGE_URIS", "value": '[{"uri":"hf://a","mountPath":"/mnt/a"},{"uri":"hf://b"}]'}
                ]
            },
            {},
            [("hf://a", "/mnt/a"), ("hf://b", "/mnt/models")],
            id="several",
        ),
        pytest.param(
            {"env": [{"name": "STORAGE_URI", "value": "/mnt/models"}]},
            {"initContainers": [INITIALIZER]},
            [("gs://b/m", "/mnt/models")],
            id="an init container",
        ),
        pytest.param(
            {"env": [{"name": "STORAGE_URI", "value": "/data/m"}]}, {}, [("file:///data/m", "/mnt/models")], id="a path"
        ),
    ],
)
def test_downloads(container: dict[str, Any], pod: dict[str, Any], wanted: list[tuple[str, str]]) -> None:
    assert local(container, **pod).downloads == tuple(Download(*pair) for pair in wanted)


def test_an_init_containers_credentials_are_for_the_download() -> None:
    container = local(initContainers=[INITIALIZER])
    assert (container.fetch_environment, container.environment) == ({"TOKEN": "t"}, {})


@pytest.mark.parametrize(
    ("container", "pod", "message"),
    [
        pytest.param(
            {"image": "tensorflow/serving:2"}, {}, "tensorflow/serving:2.* is not haizen's runtime", id="foreign"
        ),
        pytest.param({"image": "x/haizen-runtime-fork"}, {}, "not haizen's runtime", id="a name like ours"),
        pytest.param({"command": ["bash", "-c"]}, {}, "'bash' is not haizen-runtime", id="another command"),
        pytest.param(
            {},
            {"volumes": [{"persistentVolumeClaim": {"claimName": "models"}}]},
            "pvc://models is a volume of a cluster",
            id="a volume claim",
        ),
        pytest.param(
            {"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "no", "key": "k"}}}]},
            {},
            "A comes from Secret 'no', key 'k'.*Add the Secret",
            id="a Secret that is not there",
        ),
    ],
)
def test_what_needs_a_cluster_is_refused_with_the_reason(
    container: dict[str, Any], pod: dict[str, Any], message: str
) -> None:
    with pytest.raises(CliError) as refused:
        local(container, **pod)
    assert re.search(message, str(refused.value).replace("\n", " "))


@pytest.mark.parametrize(
    "image", ["haizen-runtime", "dev.local/haizen-runtime:e2e", "r:5000/a/haizen-runtime@sha256:ab"]
)
def test_our_image_under_any_registry(image: str) -> None:
    assert local({"image": image}).arguments


def test_further_containers_are_refused() -> None:
    pod = template()
    pod["spec"]["containers"].append({"name": "sidecar", "image": "x"})
    with pytest.raises(CliError, match="further containers \\(sidecar\\)"):
        localize(pod, secrets=[], config_maps=[], user={})


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("/mnt/models", "/here"),
        ("/mnt/models/a.bin", "/here/a.bin"),
        ("--x=/mnt/models,/mnt/models/lora", "--x=/here,/lora"),
        ("/mnt/models2", "/mnt/models2"),
        ("/other/mnt/models", "/other/mnt/models"),
    ],
)
def test_relocate(text: str, wanted: str) -> None:
    assert relocate(text, {"/mnt/models": Path("/here"), "/mnt/models/lora": Path("/lora")}) == wanted


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["--http_port=1", "--a"], ["--a"]),
        (["--http-port", "1", "--a"], ["--a"]),
        (["--http_port", "--a"], ["--a"]),
        (["--http_ports=1"], ["--http_ports=1"]),
    ],
)
def test_without_option(arguments: list[str], wanted: list[str]) -> None:
    assert without_option(arguments, ["http_port"]) == wanted


def test_expand_leaves_what_it_does_not_know() -> None:
    assert expand("$(A) $(B) $$(A) $A", {"A": "1"}) == "1 $(B) $(A) $A"


@pytest.mark.parametrize(
    ("uri", "wanted"),
    [
        ("models/iris", "file:///folder/models/iris"),
        ("../iris", "file:///iris"),
        ("/data/iris", "file:///data/iris"),
        ("s3://b/iris", "s3://b/iris"),
        ("pvc://c/iris", "pvc://c/iris"),
    ],
)
def test_paths_are_relative_to_the_file(uri: str, wanted: str) -> None:
    assert absolute_uri(uri, Path("/folder")) == wanted
