"""The built-in runtimes: chosen for what they claim, and fit for a restricted namespace."""

from typing import Any

import pytest

from haizen_operator.api import ClusterServingRuntime, InferenceService
from haizen_operator.runtimes import IMAGE_PLACEHOLDER, image_of_kind, kinds_without_image, load_builtin_runtimes
from haizen_operator.selection import SelectionError, select_runtime

IMAGE = "registry.example/haizen-runtime:1"
MANIFESTS = load_builtin_runtimes(IMAGE)
RUNTIMES = [ClusterServingRuntime.from_manifest(manifest) for manifest in MANIFESTS]


def select(format_name: str, version: str | None, protocol: str | None) -> str:
    model = {"modelFormat": {"name": format_name, "version": version}, "protocolVersion": protocol}
    isvc = InferenceService.from_manifest({"metadata": {"name": "m"}, "spec": {"predictor": {"model": model}}})
    return select_runtime(isvc, [], RUNTIMES).name


@pytest.mark.parametrize("protocol", [None, "v1", "v2"])
@pytest.mark.parametrize(
    ("format_name", "versions"),
    [
        ("sklearn", [None, "0", "1"]),
        ("xgboost", [None, "1", "2", "3"]),
        ("lightgbm", [None, "3", "4"]),
        ("onnx", [None, "1"]),
        ("catboost", [None, "1"]),
        ("huggingface", [None, "1"]),
        ("mlflow", [None, "1", "2", "3"]),
        ("openvino", [None, "10", "11"]),
        ("paddle", [None, "2", "3"]),
        ("pmml", [None, "3", "4"]),
        ("python", [None, "1"]),
        ("pytorch", [None, "1", "2"]),
        ("skops", [None, "0"]),
        ("tensorflow", [None, "1", "2"]),
    ],
)
def test_chosen_by_itself(format_name: str, versions: list[str | None], protocol: str | None) -> None:
    assert {select(format_name, version, protocol) for version in versions} == {f"haizen-{format_name}"}


@pytest.mark.parametrize(("format_name", "version"), [("sklearn", "2"), ("triton", None), ("onnx", "1.0")])
def test_not_chosen_for_what_it_does_not_claim(format_name: str, version: str | None) -> None:
    with pytest.raises(SelectionError):
        select(format_name, version, None)


@pytest.mark.parametrize(
    "framework",
    ["sklearn", "xgboost", "lightgbm", "onnx", "tensorflow", "pytorch", "huggingface", "pmml", "paddle"],
)
def test_legacy_framework_fields(framework: str) -> None:
    isvc = InferenceService.from_manifest(
        {"metadata": {"name": "m"}, "spec": {"predictor": {framework: {"storageUri": "s3://b/m"}}}}
    )
    assert select_runtime(isvc, [], RUNTIMES).name == f"haizen-{framework}"


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda it: it["metadata"]["name"])
def test_fit_for_a_restricted_namespace(manifest: dict[str, Any]) -> None:
    (container,) = manifest["spec"]["containers"]
    context = container["securityContext"]
    assert context["runAsNonRoot"] is True
    assert context["allowPrivilegeEscalation"] is False
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert context["readOnlyRootFilesystem"] is True
    assert manifest["metadata"]["annotations"]["haizen.dev/downloads-model"] == "true"


@pytest.mark.parametrize(
    ("format_name", "theirs", "version"),
    [
        ("pytorch", "kserve-torchserve", "1"),
        ("tensorflow", "kserve-tensorflow-serving", "2"),
        ("openvino", "kserve-openvino", "10"),
        ("huggingface", "kserve-huggingfaceserver", "1"),
    ],
)
def test_servers_of_their_own_keep_their_formats(format_name: str, theirs: str, version: str) -> None:
    spec = {
        "supportedModelFormats": [{"name": format_name, "version": version, "autoSelect": True, "priority": 1}],
        "protocolVersions": ["v1", "v2"],
        "containers": [{"name": "kserve-container", "image": "server:1"}],
    }
    other = ClusterServingRuntime.from_manifest({"metadata": {"name": theirs}, "spec": spec})
    model = {"modelFormat": {"name": format_name}}
    isvc = InferenceService.from_manifest({"metadata": {"name": "m"}, "spec": {"predictor": {"model": model}}})
    assert select_runtime(isvc, [], [*RUNTIMES, other]).name == theirs


def test_only_formats_with_code_may_run_code() -> None:
    allowed = [it["metadata"]["name"] for it in MANIFESTS if "--allow_code" in it["spec"]["containers"][0]["args"]]
    assert allowed == ["haizen-mlflow", "haizen-python", "haizen-pytorch", "haizen-sklearn", "haizen-tensorflow"]


def test_each_runtime_has_the_image_of_its_kind() -> None:
    kinds = {
        it["metadata"]["name"].removeprefix("haizen-"): it["spec"]["containers"][0]["image"].removeprefix(IMAGE)
        for it in MANIFESTS
    }
    small = dict.fromkeys(("sklearn", "skops", "xgboost", "lightgbm", "onnx", "python"), "")
    own = {kind: f"-{kind}" for kind in ("tensorflow", "openvino", "mlflow", "catboost", "pmml", "paddle")}
    assert kinds == {**small, **own, "pytorch": "-torch", "huggingface": "-torch"}
    assert IMAGE_PLACEHOLDER != IMAGE


@pytest.mark.parametrize(
    ("image", "images", "expected"),
    [
        pytest.param("r:5000/a/haizen-runtime:1", {}, "r:5000/a/haizen-runtime:1-torch", id="tag"),
        pytest.param("r:5000/a/haizen-runtime", {}, "r:5000/a/haizen-runtime:torch", id="no-tag"),
        pytest.param("haizen-runtime", {}, "haizen-runtime:torch", id="bare"),
        pytest.param("a/haizen-runtime@sha256:ab", {}, None, id="digest"),
        pytest.param("a/haizen-runtime:1@sha256:ab", {}, None, id="tag-and-digest"),
        pytest.param("a/haizen-runtime@sha256:ab", {"torch": "b/x@sha256:cd"}, "b/x@sha256:cd", id="named"),
    ],
)
def test_images_by_kind(image: str, images: dict[str, str], expected: str | None) -> None:
    assert image_of_kind("torch", image, images) == expected


def test_runtimes_without_an_image_are_left_out() -> None:
    image, images = "a/haizen-runtime@sha256:ab", {"torch": "a/t:1", "pmml": "a/p:1"}
    assert kinds_without_image(image, images) == ["catboost", "mlflow", "openvino", "paddle", "tensorflow"]
    names = {it["metadata"]["name"] for it in load_builtin_runtimes(image, images)}
    assert {"haizen-pytorch", "haizen-pmml", "haizen-sklearn"} <= names
    assert "haizen-tensorflow" not in names


def test_each_call_gives_fresh_objects() -> None:
    load_builtin_runtimes(IMAGE)[0]["spec"].clear()
    assert load_builtin_runtimes(IMAGE)[0]["spec"]
