"""TensorFlow's SavedModels: a directory with saved_model.pb, served by its serving_default signature."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # read at import: fewer lines about the CPU and missing GPUs

import numpy as np
import tensorflow as tf

from haizen_runtime.backends.made_up import zeros
from haizen_runtime.engine.backend import Backend
from haizen_runtime.engine.cpus import usable_cpus
from haizen_runtime.protocol.errors import InvalidInput, ModelLoadFailed
from haizen_runtime.protocol.messages import ModelMetadata, TensorMetadata
from haizen_runtime.protocol.tf_json import SIGNATURE

if TYPE_CHECKING:
    from haizen_runtime.backends.loading import LoadOptions
    from haizen_runtime.engine.backend import Arrays

Array = np.ndarray[Any, Any]

DATATYPE_OF: Final = {
    tf.bool: "BOOL", tf.uint8: "UINT8", tf.uint16: "UINT16", tf.uint32: "UINT32", tf.uint64: "UINT64",
    tf.int8: "INT8", tf.int16: "INT16", tf.int32: "INT32", tf.int64: "INT64",
    tf.float16: "FP16", tf.bfloat16: "BF16", tf.float32: "FP32", tf.float64: "FP64", tf.string: "BYTES",
}  # fmt: skip


class TensorflowBackend(Backend):
    """One signature. Names, datatypes and shapes are its own; outputs are in the order of their names."""

    concurrent = True

    def __init__(self, loaded: Any, name: str, device: str) -> None:
        self._loaded = loaded  # the signature holds its variables weakly
        self._call = loaded.signatures[name]
        self._device = device
        self._specs = dict(self._call.structured_input_signature[1])
        inputs = tuple(_metadata(each, spec) for each, spec in self._specs.items())
        outputs = tuple(_metadata(each, spec) for each, spec in self._call.structured_outputs.items())
        self._names = [tensor.name for tensor in outputs]
        specs = [*self._specs.values(), *self._call.structured_outputs.values()]
        # Rows are independent only where the model itself leaves the first axis of everything open.
        self.batchable = bool(inputs) and all(spec.shape.rank and spec.shape[0] is None for spec in specs)
        self.takes_anything = any(spec.shape.rank is None for spec in self._specs.values())
        self.metadata = ModelMetadata(
            platform="tensorflow_savedmodel", inputs=inputs, outputs=outputs, any_input_name=len(inputs) == 1
        )

    def execute(self, inputs: Arrays, outputs: Sequence[str] | None) -> dict[str, Array]:
        """Call the signature; all outputs are computed, the wanted ones are returned."""
        named = {next(iter(self._specs)): array for array in inputs.values()} if len(self._specs) == 1 else inputs
        try:
            with tf.device(self._device):
                results = self._call(**{name: self._tensor(name, array) for name, array in named.items()})
                return {name: _array(results[name]) for name in outputs or self._names}
        except (tf.errors.InvalidArgumentError, tf.errors.OutOfRangeError, TypeError, ValueError, KeyError) as error:
            raise InvalidInput(f"The model refused the input: {_reason(error)}") from error

    def sample(self, rows: int) -> Arrays | None:
        """Zeros (empty strings), where no axis but the first is open."""
        return None if self.takes_anything else zeros(self.metadata.inputs, rows)

    def _tensor(self, name: str, array: Array) -> Any:
        tensor = tf.convert_to_tensor(array)
        return tf.cast(tensor, tf.bfloat16) if self._specs[name].dtype == tf.bfloat16 else tensor


def load(path: Path, options: LoadOptions) -> TensorflowBackend:
    """Load a directory. The caller has checked that code is allowed: a graph may read and write files.

    Raises ModelLoadFailed when no signature can be chosen or a device that was asked for cannot be had.
    """
    device = _device(options.device)
    with contextlib.suppress(RuntimeError):  # an earlier model of this process has fixed them
        tf.config.threading.set_intra_op_parallelism_threads(options.threads or usable_cpus())
        tf.config.threading.set_inter_op_parallelism_threads(options.threads or usable_cpus())
    with tf.device(device):
        loaded = tf.saved_model.load(str(path))
    names = [name for name in loaded.signatures if not name.startswith("__")]
    name = SIGNATURE if SIGNATURE in names or len(names) != 1 else names[0]
    if name not in names:
        listed = ", ".join(names) or "none"
        raise ModelLoadFailed(f"The SavedModel has no signature {SIGNATURE}; its signatures: {listed[:300]}.")
    return TensorflowBackend(loaded, name, device)


def _device(wanted: str) -> str:
    if wanted == "tensorrt":
        raise ModelLoadFailed("--device=tensorrt is for ONNX models; TensorFlow takes auto, cpu or cuda.")
    gpus = tf.config.list_physical_devices("GPU") if wanted != "cpu" else []
    if wanted == "cuda" and not gpus:
        raise ModelLoadFailed(
            "--device=cuda, but TensorFlow sees no NVIDIA GPU, or not CUDA's libraries (tensorflow[and-cuda])."
        )
    for gpu in gpus:
        with contextlib.suppress(RuntimeError):  # an earlier model of this process has fixed it
            tf.config.experimental.set_memory_growth(gpu, True)  # else the first model takes all of the memory
    return "/GPU:0" if gpus else "/CPU:0"


def _metadata(name: str, spec: Any) -> TensorMetadata:
    datatype = DATATYPE_OF.get(spec.dtype)
    if datatype is None:
        raise ModelLoadFailed(f'"{name}" has the type {spec.dtype.name}, which is no tensor of the protocol.')
    sizes = (None,) if spec.shape.rank is None else tuple(spec.shape)
    return TensorMetadata(name, datatype, tuple(-1 if size is None else int(size) for size in sizes))


def _array(tensor: Any) -> Array:
    if tensor.dtype == tf.bfloat16:
        tensor = tf.cast(tensor, tf.float32)
    return np.asarray(tensor.numpy(), dtype=object if tensor.dtype == tf.string else None)


def _reason(error: Exception) -> str:
    """The line that says it; before it are a heading and where in the graph."""
    skipped = ("Graph execution error", "Detected at node", "<stack traces unavailable>")
    lines = [line.strip() for line in str(error).splitlines()]
    return next((line for line in lines if line and not line.startswith(skipped)), type(error).__name__)[:300]
