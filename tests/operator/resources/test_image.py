"""Tags: runtimeVersion, and KServe's rules for builds with and without a GPU."""

from typing import Any

import pytest

from haizen_operator.resources.image import resolve_image, wants_gpu

GPU = {"resources": {"limits": {"nvidia.com/gpu": "1"}}}
MIG = {"resources": {"limits": {"nvidia.com/mig-1g.5gb": 1}}}


@pytest.mark.parametrize(
    ("image", "more", "version", "server", "expected"),
    [
        pytest.param("a/b:1", {}, None, "", "a/b:1", id="untouched"),
        pytest.param("a/b:1", {}, "2", "", "a/b:2", id="version-replaces-the-tag"),
        pytest.param("a/b", {}, "2", "", "a/b:2", id="version-without-a-tag"),
        pytest.param("host:5000/a", {}, "2", "", "host:5000/a:2", id="a-port-is-no-tag"),
        pytest.param("a@sha256:0", {}, "2", "", "a@sha256:0", id="a-digest-stays"),
        pytest.param("tf:1", GPU, None, "tensorflow-serving", "tf:1-gpu", id="gpu-build"),
        pytest.param("tf:1", MIG, None, "torchserve", "tf:1-gpu", id="gpu-build-for-a-slice"),
        pytest.param("tf:1-gpu", GPU, None, "huggingfaceserver", "tf:1-gpu", id="gpu-build-already"),
        pytest.param("tf:1", GPU, "2", "tensorflow-serving", "tf:2", id="version-wins-over-gpu"),
        pytest.param("tf:1", GPU, None, "tritonserver", "tf:1", id="other-servers-have-one-build"),
        pytest.param("tf", GPU, None, "tensorflow-serving", "tf", id="no-tag-no-build"),
        pytest.param("vllm/o:1", {}, None, "vllmserver", "vllm/o-cpu:1", id="vllm-on-the-cpu"),
        pytest.param("vllm/o-cpu:1", {}, None, "vllmserver", "vllm/o-cpu:1", id="vllm-on-the-cpu-already"),
        pytest.param("vllm/o:1", GPU, None, "vllmserver", "vllm/o:1", id="vllm-on-the-gpu"),
        pytest.param(None, {}, "2", "", None, id="no-image"),
    ],
)
def test_image(image: str | None, more: dict[str, Any], version: str | None, server: str, expected: str | None) -> None:
    assert resolve_image({"image": image, **more}, version, server) == expected


@pytest.mark.parametrize(
    ("container", "expected"),
    [
        pytest.param(GPU, True, id="gpu"),
        pytest.param(MIG, True, id="mig"),
        pytest.param({"resources": {"requests": {"nvidia.com/gpu": 1}}}, True, id="request"),
        pytest.param({"resources": {"limits": {"cpu": 1}}}, False, id="cpu"),
        pytest.param({}, False, id="nothing"),
    ],
)
def test_wants_gpu(container: dict[str, Any], expected: bool) -> None:
    assert wants_gpu(container) is expected
