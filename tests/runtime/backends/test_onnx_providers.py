"""Which execution providers are asked for, on which machine, and what is said when one cannot be had."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from skl2onnx import to_onnx
from sklearn.linear_model import LinearRegression

from haizen_runtime.backends import onnx
from haizen_runtime.backends.loading import LoadOptions
from haizen_runtime.backends.onnx_providers import CPU, CUDA, TENSORRT, check_provider, choose_providers
from haizen_runtime.protocol.errors import ModelLoadFailed

CPU_BUILD = ["AzureExecutionProvider", CPU]
GPU_BUILD = [TENSORRT, CUDA, CPU]


@pytest.mark.parametrize(
    ("device", "available", "has_gpu", "expected"),
    [
        pytest.param("auto", CPU_BUILD, False, [CPU], id="auto-nothing"),
        pytest.param("auto", CPU_BUILD, True, [CPU], id="auto-cpu-build-on-a-gpu-machine"),
        pytest.param("auto", GPU_BUILD, False, [CPU], id="auto-gpu-build-without-a-gpu"),
        pytest.param("auto", GPU_BUILD, True, [CUDA, CPU], id="auto-never-tensorrt"),
        pytest.param("cpu", GPU_BUILD, True, [CPU], id="cpu-by-name"),
        pytest.param("cuda", GPU_BUILD, True, [CUDA, CPU], id="cuda-by-name"),
        pytest.param("tensorrt", GPU_BUILD, True, [TENSORRT, CUDA, CPU], id="tensorrt-by-name"),
    ],
)
def test_chosen(device: str, available: list[str], has_gpu: bool, expected: list[str]) -> None:
    assert [name for name, _ in choose_providers(device, available, has_gpu=has_gpu)] == expected


@pytest.mark.parametrize(
    ("device", "available", "has_gpu", "says"),
    [
        pytest.param("cuda", CPU_BUILD, True, r"haizen\[onnx-gpu\]", id="not-in-this-build"),
        pytest.param("tensorrt", [CUDA, CPU], True, TENSORRT, id="no-tensorrt-in-this-build"),
        pytest.param("cuda", GPU_BUILD, False, r"nvidia\.com/gpu: 1", id="no-gpu"),
    ],
)
def test_refused(device: str, available: list[str], has_gpu: bool, says: str) -> None:
    with pytest.raises(ModelLoadFailed, match=says):
        choose_providers(device, available, has_gpu=has_gpu)


def test_a_silent_fallback_is_told() -> None:
    assert check_provider("auto", [CUDA, CPU], [CUDA, CPU]) is None
    assert CPU in (check_provider("auto", [CUDA, CPU], [CPU]) or "")


def test_a_device_asked_for_by_name_is_not_replaced() -> None:
    with pytest.raises(ModelLoadFailed, match="--device=cuda: onnxruntime could not start"):
        check_provider("cuda", [CUDA, CPU], [CPU])


@pytest.mark.parametrize(
    ("device", "available", "told"),
    [
        pytest.param("auto", GPU_BUILD, True, id="gpu-build"),
        pytest.param("cpu", GPU_BUILD, False, id="as-asked-for"),
        pytest.param("auto", CPU_BUILD, False, id="cpu-build"),
    ],
)
def test_a_build_for_gpus_says_that_it_runs_on_the_cpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
    device: str, available: list[str], told: bool,
) -> None:  # fmt: skip
    rows = np.eye(3, dtype=np.float32)
    path = tmp_path / "model.onnx"
    path.write_bytes(to_onnx(LinearRegression().fit(rows, rows[:, 0]), rows[:1]).SerializeToString())
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: available)
    monkeypatch.setattr(onnx, "_has_gpu", lambda: False)
    with caplog.at_level("INFO"):
        onnx.load(path, LoadOptions(device=device))
    assert ("runs on the CPU: this machine shows no NVIDIA GPU" in caplog.text) is told
