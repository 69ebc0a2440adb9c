"""`python gpu_libraries.py`: whether onnxruntime finds CUDA's libraries in the image; run in it, with no GPU there.

The one library that an image cannot bring is the driver's, libcuda.so.1: the first to be missing must be that one.
"""

import ctypes
import sys
from pathlib import Path

import onnxruntime

DRIVER = "libcuda.so.1"


def missing() -> str | None:
    """What the loader says of the first missing library, None when that is the driver's or there is none."""
    onnxruntime.preload_dlls()
    try:
        ctypes.CDLL(str(Path(onnxruntime.__file__).parent / "capi" / "libonnxruntime_providers_cuda.so"))
    except OSError as problem:
        return None if DRIVER in str(problem) else str(problem)
    return None


if __name__ == "__main__":
    sys.exit(missing())
