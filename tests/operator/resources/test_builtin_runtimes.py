"""The built-in runtimes: chosen for what they claim, and fit for a restricted namespace."""

from typing import Any

import pytest

from haizen_operator.api import ClusterServingRuntime, InferenceService
from haizen_operator.runtimes import IMAGE_PLACEHOLDER, load_builtin_runtimes
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
    ],
)
def test_chosen_by_itself(format_name: str, versions: list[str | None], protocol: str | None) -> None:
    assert {select(format_name, version, protocol) for version in versions} == {f"haizen-{format_name}"}


@pytest.mark.parametrize(("format_name", "version"), [("sklearn", "2"), ("tensorflow", None), ("onnx", "1.0")])
def test_not_chosen_for_what_it_does_not_claim(format_name: str, version: str | None) -> None:
    with pytest.raises(SelectionError):
        select(format_name, version, None)


@pytest.mark.parametrize("framework", ["sklearn", "xgboost", "lightgbm", "onnx"])
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


def test_only_pickle_formats_may_run_code() -> None:
    allowed = [it["metadata"]["name"] for it in MANIFESTS if "--allow_code" in it["spec"]["containers"][0]["args"]]
    assert allowed == ["haizen-sklearn"]


def test_the_image_is_filled_in_everywhere() -> None:
    assert {it["spec"]["containers"][0]["image"] for it in MANIFESTS} == {IMAGE}
    assert IMAGE_PLACEHOLDER != IMAGE


def test_each_call_gives_fresh_objects() -> None:
    load_builtin_runtimes(IMAGE)[0]["spec"].clear()
    assert load_builtin_runtimes(IMAGE)[0]["spec"]
