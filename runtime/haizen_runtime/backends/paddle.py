"""PaddlePaddle inference models: .pdiparams beside a .pdmodel, or beside the .json that Paddle 3 writes."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from haizen_runtime.backends.columns import OUTPUT, first_line
from haizen_runtime.backends.made_up import zeros
from haizen_runtime.backends.signals import give_back_sigterm
from haizen_runtime.engine.backend import Backend
from haizen_runtime.engine.cpus import usable_cpus
from haizen_runtime.protocol.errors import InvalidInput, ModelLoadFailed
from haizen_runtime.protocol.messages import ModelMetadata, TensorMetadata

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it misses a C++ compiler's cache, which nothing here needs
    from paddle import inference
    from paddle.base import core

if TYPE_CHECKING:
    from haizen_runtime.backends.loading import LoadOptions
    from haizen_runtime.engine.backend import Arrays

give_back_sigterm()  # Paddle's import takes it, to print a stack

Array = np.ndarray[Any, Any]
Shapes = dict[str, tuple[int, ...]]

DATATYPE_OF: Final = {
    "BOOL": "BOOL",
    "UINT8": "UINT8",
    "INT8": "INT8",
    "INT32": "INT32",
    "INT64": "INT64",
    "FLOAT16": "FP16",
    "FLOAT32": "FP32",
    "FLOAT64": "FP64",
}
TENSOR: Final = core.VarDesc.VarType.DENSE_TENSOR
PROGRAM_ENDINGS: Final = (".json", ".pdmodel")


class PaddleBackend(Backend):
    """A predictor. Several inputs or outputs have the model's own names; of one, KServe's server knows no name."""

    def __init__(self, predictor: Any, shapes: Shapes) -> None:
        self._predictor = predictor
        self._inputs = {name: predictor.get_input_handle(name) for name in predictor.get_input_names()}
        self._outputs = {name: predictor.get_output_handle(name) for name in predictor.get_output_names()}
        if len(self._outputs) == 1:
            ((own_name, handle),) = self._outputs.items()
            shapes[OUTPUT] = shapes[own_name]
            self._outputs = {OUTPUT: handle}
        inputs = tuple(_metadata(name, handle, shapes) for name, handle in self._inputs.items())
        outputs = tuple(_metadata(name, handle, shapes) for name, handle in self._outputs.items())
        # Rows are independent only where the model itself leaves the first axis of everything open.
        self.batchable = bool(inputs) and all(tensor.shape[:1] == (-1,) for tensor in (*inputs, *outputs))
        self.metadata = ModelMetadata(
            platform="paddle", inputs=inputs, outputs=outputs, any_input_name=len(inputs) == 1
        )

    def execute(self, inputs: Arrays, outputs: Sequence[str] | None) -> dict[str, Array]:
        """Run the predictor."""
        named = dict(zip(self._inputs, inputs.values(), strict=True)) if len(self._inputs) == 1 else inputs
        try:
            for name, handle in self._inputs.items():
                handle.copy_from_cpu(np.ascontiguousarray(named[name]))
            self._predictor.run()
        except ValueError as error:
            raise InvalidInput(f"The model refused the input: {_what(error)}") from error
        wanted = self._outputs if outputs is None else outputs
        return {name: self._outputs[name].copy_to_cpu() for name in wanted}

    def sample(self, rows: int) -> Arrays | None:
        """Zeros; None where a size other than the first is open."""
        return zeros(self.metadata.inputs, rows)


def load(path: Path, options: LoadOptions) -> PaddleBackend:
    """Make a predictor on the CPU of the parameters and the program beside them."""
    program = _program_of(path)
    shapes = _json_shapes(program) if program.suffix == ".json" else _program_shapes(program)
    config = inference.Config(str(program), str(path))
    config.disable_gpu()
    config.disable_glog_info()
    config.set_cpu_math_library_num_threads(options.threads or usable_cpus())
    return PaddleBackend(inference.create_predictor(config), shapes)


def _program_of(path: Path) -> Path:
    own = [path.with_suffix(ending) for ending in PROGRAM_ENDINGS if path.with_suffix(ending).is_file()]
    programs = own or sorted(file for ending in PROGRAM_ENDINGS for file in path.parent.glob(f"*{ending}"))
    if len(programs) != 1:
        found = ", ".join(file.name for file in programs) or "none"
        raise ModelLoadFailed(f"Expected one .pdmodel or .json beside {path.name}, found {found}.")
    return programs[0]


def _json_shapes(program: Path) -> Shapes:
    """The shapes of inputs and outputs from the text of a program, where a value's type is `[dtype, shape, ...]`."""
    operations = json.loads(program.read_bytes())["program"]["regions"][0]["blocks"][0]["ops"]
    shapes = {}
    for operation in operations:
        if str(operation.get("#")) in ("1.data", "1.fetch"):
            attributes = {each["N"]: each["AT"]["D"] for each in operation["A"]}
            shapes[attributes["name"]] = tuple(int(size) for size in operation["O"][0]["TT"]["D"][1])
    return shapes


def _program_shapes(program: Path) -> Shapes:
    """The same of a .pdmodel, which is a protobuf message."""
    content = program.read_bytes()
    if not content:
        raise ModelLoadFailed(f"{program.name} is empty.")  # Paddle would end the process
    description = core.ProgramDesc(content)  # its blocks live as long as it does
    variables = description.block(0).all_vars()
    return {each.name(): tuple(each.shape()) for each in variables if each.type() == TENSOR}


def _metadata(name: str, handle: Any, shapes: Shapes) -> TensorMetadata:
    datatype = DATATYPE_OF.get(handle.type().name)
    if datatype is None or name not in shapes:
        raise ModelLoadFailed(f'"{name}" has the type {handle.type().name}, which is no tensor of the protocol.')
    return TensorMetadata(name, datatype, tuple(size if size >= 0 else -1 for size in shapes[name]))


def _what(error: Exception) -> str:
    """Paddle's errors begin with a traceback of C++ and say what is wrong behind their kind."""
    lines = [line.strip() for line in str(error).splitlines() if "Error: " in line]
    return lines[-1][:300] if lines else first_line(error)
