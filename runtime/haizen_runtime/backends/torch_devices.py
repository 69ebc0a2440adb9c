"""Where PyTorch computes, and with how many threads."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import torch

from haizen_runtime.engine.cpus import usable_cpus
from haizen_runtime.protocol.errors import ModelLoadFailed

if TYPE_CHECKING:
    from haizen_runtime.backends.loading import LoadOptions


def choose_device(options: LoadOptions) -> Any:
    """The torch.device to load to; sets the threads of one inference, which are the whole process's.

    Raises ModelLoadFailed when a device that was asked for by name cannot be had.
    """
    torch.set_num_threads(options.threads or usable_cpus())
    wanted = options.device
    if wanted == "tensorrt":
        raise ModelLoadFailed("--device=tensorrt is for ONNX models; PyTorch takes auto, cpu or cuda.")
    if wanted == "cpu":
        return torch.device("cpu")
    if torch.cuda.is_available():
        return torch.device("cuda")
    why = "this machine shows no usable NVIDIA GPU" if torch.version.cuda else "this PyTorch is built without CUDA"
    if wanted == "cuda":
        raise ModelLoadFailed(f"--device=cuda, but {why}.")
    logging.getLogger("haizen_runtime").info("PyTorch runs on the CPU: %s", why)
    return torch.device("cpu")
