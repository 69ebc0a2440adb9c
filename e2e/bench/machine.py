"""What the figures were taken on."""

import os
import platform
from importlib.metadata import version
from pathlib import Path

_LIBRARIES = ("haizen", "uvicorn", "zttp", "uvloop", "orjson", "numpy", "scikit-learn", "onnxruntime", "grpcio")


def describe() -> dict[str, object]:
    """Processor, memory, kernel, versions, and how busy the machine was at that time."""
    return {
        "processor": field_of(Path("/proc/cpuinfo").read_text(), "model name") or platform.machine(),
        "cores": os.cpu_count(),
        "memory MiB": int(field_of(Path("/proc/meminfo").read_text(), "MemTotal").split()[0]) // 1024,
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load average": os.getloadavg()[0],
        "versions": {name: version(name) for name in _LIBRARIES},
    }


def field_of(text: str, name: str) -> str:
    """The value of the first line `name : value`; "" where there is none."""
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return ""
