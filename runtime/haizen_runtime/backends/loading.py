"""From a model directory to a loaded backend."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from haizen_runtime.backends.deferred_modules import SCIKIT_LEARN, defer
from haizen_runtime.backends.files import find_model
from haizen_runtime.backends.formats import FORMATS, Format
from haizen_runtime.protocol.errors import BackendMissing, ModelLoadFailed, StartError, UntrustedFormat
from haizen_runtime.workers.limits import DEFAULT_WORKER_LIMITS, WorkerLimits

if TYPE_CHECKING:
    from types import ModuleType

    from haizen_runtime.engine.backend import Backend


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """What a backend may want to know besides the file."""

    allow_code: bool = False
    """Whether formats that can carry code may be loaded."""
    predict_proba: bool = False
    """KServe's PREDICT_PROBA: classifiers of sklearn answer probabilities instead of classes."""
    threads: int = 0
    """Threads that one inference may use; 0 leaves it to the library."""
    model_name: str = "model"
    """The model's name, for code that wants to know it."""
    workers: int = 1
    """Worker processes for Python code."""
    worker_timeout_seconds: float = 0.0
    """How long Python code may take for one call before its process is taken for hung; 0 for no limit."""
    device: str = "auto"
    """auto, cpu, cuda or tensorrt; auto takes a GPU where the library and the machine have one."""
    model_class: str = ""
    """The class of a PyTorch model that comes as weights and code; empty: the only one there."""
    assume_batch_axis: bool = False
    """Whether a PyTorch model that does not say so has independent rows along the first axis of all tensors."""
    task: str = ""
    """What a transformers model is asked for; empty: what its architecture is made for."""
    return_probabilities: bool = False
    """Whether transformers classifiers answer a probability for each class instead of the class."""
    worker_limits: WorkerLimits = DEFAULT_WORKER_LIMITS
    """What the processes of Python code keep to."""


def load_backend(directory: Path, model_format: str | None, options: LoadOptions) -> Backend:
    """Find the model file and load it with its library.

    Raises UntrustedFormat, BackendMissing, ModelLoadFailed or InvalidConfiguration.
    """
    path, kind = find_model(directory, model_format)
    if kind.carries_code and not options.allow_code:
        raise UntrustedFormat(
            f"{path.name} is a {kind.name} file, which can carry code that runs when it is loaded. "
            "Start the runtime with --allow_code if you trust where it comes from."
        )
    module = import_backend(kind)
    try:
        backend: Backend = module.load(path, options)
    except StartError:
        raise
    except MemoryError as error:
        raise ModelLoadFailed(f"{path.name} does not fit into memory.") from error
    except Exception as error:  # a library's own error, of whatever kind a broken file provokes
        line = (str(error).strip().splitlines() or [""])[0][:300]
        raise ModelLoadFailed(f"{path.name} cannot be loaded as {kind.name}: {type(error).__name__}: {line}") from error
    return backend


def import_backend(kind: Format):  # type: ignore[no-untyped-def]  # a module has no better type
    """Import a backend's module and its library. Raises BackendMissing naming the extra."""
    try:
        return _module(kind)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing == "haizen_runtime":
            raise
        raise BackendMissing(
            f"The {kind.name} format needs the Python package {missing}, which is not installed: "
            f"pip install 'haizen[{kind.extra}]'."
        ) from error


def preload(model_format: str | None) -> None:
    """Import the library of a format ahead of time (while the model downloads); errors are left to the load."""
    kind = FORMATS.get((model_format or "").lower())
    if kind is not None:
        import contextlib

        with contextlib.suppress(Exception):
            _module(kind)


def _module(kind: Format) -> ModuleType:
    defer(SCIKIT_LEARN)  # which xgboost, lightgbm, mlflow and transformers import, too, where it is installed
    return importlib.import_module(kind.module)
