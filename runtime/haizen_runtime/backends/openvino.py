"""OpenVINO's intermediate representation (.xml with its weights in a .bin beside it), on the CPU."""

from __future__ import annotations

import queue
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import openvino

from haizen_runtime.backends.made_up import zeros
from haizen_runtime.backends.texts import bytes_of, texts_of
from haizen_runtime.engine.backend import Backend
from haizen_runtime.engine.cpus import usable_cpus
from haizen_runtime.protocol.errors import InvalidInput, ModelLoadFailed
from haizen_runtime.protocol.messages import ModelMetadata, TensorMetadata

if TYPE_CHECKING:
    from haizen_runtime.backends.loading import LoadOptions
    from haizen_runtime.engine.backend import Arrays

Array = np.ndarray[Any, Any]

DATATYPE_OF: Final = {
    "boolean": "BOOL", "u8": "UINT8", "u16": "UINT16", "u32": "UINT32", "u64": "UINT64",
    "i8": "INT8", "i16": "INT16", "i32": "INT32", "i64": "INT64",
    "f16": "FP16", "f32": "FP32", "f64": "FP64", "string": "BYTES",
}  # fmt: skip
HEAD_BYTES: Final = 1024
"""How far into a file its first element is looked for."""


class OpenvinoBackend(Backend):
    """A compiled model. Names, datatypes and shapes are the model's own."""

    concurrent = True

    def __init__(self, compiled: Any) -> None:
        self._compiled = compiled
        self._inputs = tuple(_metadata(port) for port in compiled.inputs)
        outputs = tuple(_metadata(port) for port in compiled.outputs)
        self._positions = {tensor.name: index for index, tensor in enumerate(self._inputs)}
        self._outputs = {tensor.name: index for index, tensor in enumerate(outputs)}
        # Rows are independent only where the model itself leaves the first axis of everything open.
        self.batchable = bool(self._inputs) and all(t.shape[:1] == (-1,) for t in (*self._inputs, *outputs))
        self.instances = int(compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
        self._requests: queue.LifoQueue[Any] = queue.LifoQueue()
        for _ in range(self.instances):
            self._requests.put(compiled.create_infer_request())
        self.metadata = ModelMetadata(platform="openvino", inputs=self._inputs, outputs=outputs)

    def execute(self, inputs: Arrays, outputs: Sequence[str] | None) -> dict[str, Array]:
        """Infer with a free request of the pool; all outputs are computed, the wanted ones are returned."""
        feeds = {self._positions[name]: texts_of(array).astype(np.str_) if array.dtype.kind == "O" else array
                 for name, array in inputs.items()}  # fmt: skip
        request = self._requests.get()
        try:
            # Inputs are read where they lie; outputs are copied out of the request, which the next call overwrites.
            results = request.infer(feeds, share_inputs=True, share_outputs=False)
        except RuntimeError as error:
            raise InvalidInput(f"The model refused the input: {_reason(error)}") from error
        finally:
            self._requests.put(request)
        return {name: _array(results[self._outputs[name]]) for name in outputs or self._outputs}

    def sample(self, rows: int) -> Arrays | None:
        """Zeros (empty strings), where no axis but the first is open."""
        return zeros(self._inputs, rows)


def load(path: Path, options: LoadOptions) -> OpenvinoBackend:
    """Read and compile for the CPU.

    Raises ModelLoadFailed for a file that is none, for weights that are missing and for a device that cannot be had.
    """
    if options.device not in ("auto", "cpu"):
        raise ModelLoadFailed(f"--device={options.device}: OpenVINO models run on the CPU here; take auto or cpu.")
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if b"<net" not in head:  # OpenVINO would try the readers of all its other formats on it
        raise ModelLoadFailed(f"{path.name} is no model in OpenVINO's intermediate representation.")
    weights = path.with_suffix(".bin")
    if not weights.is_file():
        raise ModelLoadFailed(f"{path.name} has its weights in {weights.name}, which does not lie beside it.")
    core = openvino.Core()
    try:
        model = core.read_model(str(path), str(weights))
        compiled = core.compile_model(
            model,
            "CPU",
            # Threads are split into streams, one for each request that runs at once.
            {"INFERENCE_NUM_THREADS": options.threads or usable_cpus(), "PERFORMANCE_HINT": "THROUGHPUT"},
        )
    except RuntimeError as error:
        raise ModelLoadFailed(f"{path.name} cannot be loaded as openvino: {_reason(error)}") from error
    return OpenvinoBackend(compiled)


def _metadata(port: Any) -> TensorMetadata:
    name = min(port.names) if port.names else port.node.get_friendly_name()
    kind = port.get_element_type().get_type_name()
    datatype = DATATYPE_OF.get(kind)
    if datatype is None:
        raise ModelLoadFailed(f'"{name}" has the type {kind}, which is no tensor of the protocol.')
    shape = port.get_partial_shape()
    if shape.rank.is_dynamic:
        raise ModelLoadFailed(f'"{name}" may have any number of axes; reshape the model before it is saved.')
    return TensorMetadata(name, datatype, tuple(-1 if axis.is_dynamic else axis.get_length() for axis in shape))


def _array(result: Any) -> Array:
    array: Array = result
    return bytes_of(array) if array.dtype.kind in "US" else array


def _reason(error: Exception) -> str:
    """The last line that says something; before it are places in OpenVINO's source."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines or [type(error).__name__])[-1][:300]
