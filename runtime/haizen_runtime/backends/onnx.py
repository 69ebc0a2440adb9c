"""ONNX models on onnxruntime."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnxruntime

from haizen_runtime.backends.made_up import zeros
from haizen_runtime.backends.onnx_files import check_external_data
from haizen_runtime.backends.onnx_providers import CPU, CUDA, check_provider, choose_providers
from haizen_runtime.backends.texts import bytes_of, texts_of
from haizen_runtime.engine.backend import Backend
from haizen_runtime.engine.cpus import usable_cpus
from haizen_runtime.protocol.errors import InvalidInput, ModelLoadFailed
from haizen_runtime.protocol.messages import ModelMetadata, TensorMetadata

if TYPE_CHECKING:
    from haizen_runtime.backends.loading import LoadOptions
    from haizen_runtime.engine.backend import Arrays

Array = np.ndarray[Any, Any]
log = logging.getLogger("haizen_runtime")

DATATYPE_OF: Final = {
    "tensor(bool)": "BOOL",
    "tensor(uint8)": "UINT8",
    "tensor(uint16)": "UINT16",
    "tensor(uint32)": "UINT32",
    "tensor(uint64)": "UINT64",
    "tensor(int8)": "INT8",
    "tensor(int16)": "INT16",
    "tensor(int32)": "INT32",
    "tensor(int64)": "INT64",
    "tensor(float16)": "FP16",
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
    "tensor(string)": "BYTES",
}
_ZIPMAP: Final = "seq(map("
"""The type of a scikit-learn converter's probabilities: a dictionary per row."""


class OnnxBackend(Backend):
    """An inference session. Names, datatypes and shapes are the model's own."""

    concurrent = True

    def __init__(self, session: Any) -> None:
        self._session = session
        self._inputs = tuple(_metadata(node) for node in session.get_inputs())
        self._output_nodes = {node.name: node.type for node in session.get_outputs()}
        outputs = tuple(_metadata(node) for node in session.get_outputs())
        # Rows are independent only where the model itself leaves the first axis of everything open.
        self.batchable = bool(self._inputs) and all(t.shape[:1] == (-1,) for t in (*self._inputs, *outputs))
        self.metadata = ModelMetadata(platform="onnx", inputs=self._inputs, outputs=outputs)

    def execute(self, inputs: Arrays, outputs: Sequence[str] | None) -> dict[str, Array]:
        """Run the session; only the wanted outputs are computed."""
        feeds = {name: texts_of(array) if array.dtype.kind == "O" else array for name, array in inputs.items()}
        names = list(outputs) if outputs else list(self._output_nodes)
        try:
            results = self._session.run(names, feeds)
        except onnxruntime.capi.onnxruntime_pybind11_state.InvalidArgument as error:
            line = str(error).strip().splitlines()[0][:300]
            raise InvalidInput(f"The model refused the input: {line}") from error
        return {name: _array(result) for name, result in zip(names, results, strict=True)}

    def sample(self, rows: int) -> Arrays | None:
        """Zeros (empty strings), where no axis but the first is open."""
        return zeros(self._inputs, rows)


def load(path: Path, options: LoadOptions) -> OnnxBackend:
    """Open a session, after a look at which other files the model wants to read.

    Raises ModelLoadFailed when a device that was asked for by name cannot be had.
    """
    check_external_data(path)
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = options.threads or usable_cpus()
    settings.log_severity_level = 3
    available = onnxruntime.get_available_providers()
    providers = choose_providers(options.device, available, has_gpu=_has_gpu())
    if providers[0][0] != CPU:
        onnxruntime.preload_dlls()  # CUDA's and cuDNN's libraries may come as Python packages, on no search path
    session = onnxruntime.InferenceSession(str(path), settings, providers=providers)
    fallback = check_provider(options.device, [name for name, _ in providers], session.get_providers())
    if fallback is not None:
        log.warning("%s: %s", path.name, fallback)
    elif options.device == "auto" and CUDA in available and providers[0][0] == CPU:
        log.info("onnxruntime runs on the CPU: this machine shows no NVIDIA GPU")
    return OnnxBackend(session)


def _has_gpu() -> bool:
    devices = Path("/dev")
    return any(devices.glob("nvidia[0-9]*")) or (devices / "dxg").exists()  # dxg: Windows' Linux subsystem


def _metadata(node: Any) -> TensorMetadata:
    if node.type.startswith(_ZIPMAP):
        return TensorMetadata(node.name, "FP32", (-1, -1))
    datatype = DATATYPE_OF.get(node.type)
    if datatype is None:
        raise ModelLoadFailed(f'"{node.name}" has the type {node.type}, which is no tensor of the protocol.')
    shape = tuple(size if isinstance(size, int) and size >= 0 else -1 for size in node.shape)
    return TensorMetadata(node.name, datatype, shape)


def _array(result: Any) -> Array:
    if isinstance(result, list):  # ZipMap: a dictionary per row, from class to probability
        return np.array([[row[key] for key in row] for row in result], dtype=np.float32)
    array: Array = result
    return bytes_of(array) if array.dtype.kind in "OU" else array
