"""Where onnxruntime runs a model: the CPU, or a GPU through CUDA or TensorRT."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from haizen_runtime.protocol.errors import ModelLoadFailed

CPU: Final = "CPUExecutionProvider"
CUDA: Final = "CUDAExecutionProvider"
TENSORRT: Final = "TensorrtExecutionProvider"
DEVICES: Final = ("auto", "cpu", "cuda", "tensorrt")

CUDA_OPTIONS: Final[dict[str, Any]] = {
    # onnxruntime's default tries every convolution algorithm for each new shape; batches change shape all the time.
    "cudnn_conv_algo_search": "HEURISTIC",
    "arena_extend_strategy": "kSameAsRequested",  # doubling takes memory that another model on the GPU may need
}


def choose_providers(device: str, available: Sequence[str], *, has_gpu: bool) -> list[tuple[str, dict[str, Any]]]:
    """The execution providers to ask for, best first; the CPU is always the last, for operators a GPU has no kernel of.

    `device` is one of `DEVICES`; `auto` takes CUDA where this build of onnxruntime has it and the machine has a GPU.
    TensorRT is only taken when asked for: building its engine takes minutes. Raises ModelLoadFailed when the wanted
    provider is not in this build or there is no GPU.
    """
    cpu: tuple[str, dict[str, Any]] = (CPU, {})
    if device == "cpu" or (device == "auto" and not (has_gpu and CUDA in available)):
        return [cpu]
    wanted = TENSORRT if device == "tensorrt" else CUDA
    if wanted not in available:
        raise ModelLoadFailed(
            f"--device={device} needs {wanted}, which this onnxruntime does not have (it has {', '.join(available)}): "
            "pip install 'haizen[onnx-gpu]' in place of 'haizen[onnx]'."
        )
    if not has_gpu:
        raise ModelLoadFailed(
            f"--device={device}, but this machine shows no NVIDIA GPU. In a cluster, ask for one: "
            "resources.limits nvidia.com/gpu: 1."
        )
    cuda = (CUDA, dict(CUDA_OPTIONS))
    return [(TENSORRT, {}), cuda, cpu] if wanted == TENSORRT else [cuda, cpu]


def check_provider(device: str, asked: Sequence[str], got: Sequence[str]) -> str | None:
    """What to say when onnxruntime fell back to a lesser provider, as it does in silence; None when it did not.

    Raises ModelLoadFailed when the device was asked for by name.
    """
    if asked[0] in got:
        return None
    text = (
        f"onnxruntime could not start {asked[0]} and runs on {got[0]}: CUDA's or cuDNN's libraries are missing, or "
        "belong to another version than this onnxruntime"
    )
    if device != "auto":
        raise ModelLoadFailed(f"--device={device}: {text}.")
    return text
