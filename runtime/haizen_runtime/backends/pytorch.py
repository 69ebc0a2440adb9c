"""PyTorch models: TorchScript, exported programs (.pt2), and weights with the class that they belong to."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch

from haizen_runtime.backends.made_up import zeros
from haizen_runtime.backends.pytorch_files import EXPORTED, SCRIPT, kind_of, open_exported, open_script, open_weights
from haizen_runtime.backends.torch_devices import choose_device
from haizen_runtime.engine.backend import Backend
from haizen_runtime.protocol.errors import InferenceFailed, InvalidInput, ModelLoadFailed
from haizen_runtime.protocol.messages import ModelMetadata, TensorMetadata

if TYPE_CHECKING:
    from haizen_runtime.backends.loading import LoadOptions
    from haizen_runtime.engine.backend import Arrays

Array = np.ndarray[Any, Any]

DATATYPE_OF: Final = {
    torch.bool: "BOOL", torch.uint8: "UINT8", torch.uint16: "UINT16", torch.uint32: "UINT32", torch.uint64: "UINT64",
    torch.int8: "INT8", torch.int16: "INT16", torch.int32: "INT32", torch.int64: "INT64",
    torch.float16: "FP16", torch.bfloat16: "BF16", torch.float32: "FP32", torch.float64: "FP64",
}  # fmt: skip
OUTPUT: Final = "OUTPUT__"
"""Triton's names for tensors without names are this with the position behind it."""
INPUT: Final = "INPUT__"


class TorchBackend(Backend):
    """Something to call with tensors by position. What is not known of it is not checked."""

    concurrent = True

    def __init__(self, forward: Callable[..., Any], metadata: ModelMetadata, device: Any) -> None:
        self._forward = forward
        self._device = device
        self.metadata = metadata
        self._names = [tensor.name for tensor in metadata.inputs]

    def execute(self, inputs: Arrays, outputs: Sequence[str] | None) -> dict[str, Array]:
        """Call the model; what it refuses is the input's fault, what CUDA or memory refuse is not."""
        tensors = [self._tensor(array, index) for index, array in enumerate(self._ordered(inputs))]
        try:
            with torch.inference_mode():
                results = named_outputs(self._forward(*tensors))
                arrays = {name: _array(results[name]) for name in outputs or results}
        except (torch.OutOfMemoryError, torch.AcceleratorError):
            raise
        except KeyError as error:
            raise InvalidInput(f'Output "{str(error.args[0])[:80]}" does not exist.') from error
        except (RuntimeError, TypeError, ValueError, IndexError, AssertionError) as error:
            raise InvalidInput(f"The model refused the input: {_reason(error)}") from error
        return arrays

    def sample(self, rows: int) -> Arrays | None:
        """None: neither shapes nor datatypes are known."""
        return None

    def _ordered(self, inputs: Arrays) -> list[Array]:
        return [inputs[name] for name in self._names] if len(self._names) > 1 else list(inputs.values())

    def _tensor(self, array: Array, index: int) -> Any:
        # PyTorch knows no read-only tensors: bytes of a request's body are copied, merged batches are not.
        return torch.from_numpy(array if array.flags.writeable else array.copy()).to(self._device)


class ModuleBackend(TorchBackend):
    """TorchScript or an nn.Module: the names of forward's arguments are known, their shapes and datatypes are not."""

    takes_anything = True

    def __init__(self, module: Any, names: Sequence[str], device: Any, batchable: bool) -> None:
        self._floating = _floating_type(module)
        usual = DATATYPE_OF[self._floating]
        metadata = ModelMetadata(
            platform="pytorch",
            inputs=tuple(TensorMetadata(name, usual, (-1,)) for name in names),
            outputs=(TensorMetadata(OUTPUT + "0", usual, (-1,)),),
            any_input_name=len(names) == 1,
            any_datatype=True,
        )
        super().__init__(module, metadata, device)
        self.batchable = batchable

    def _ordered(self, inputs: Arrays) -> list[Array]:
        """By the names of forward's arguments, or INPUT__0 and so on; one input may have any name."""
        names = self._names
        if len(inputs) == len(names) == 1:
            return list(inputs.values())
        positions = {**{name: i for i, name in enumerate(names)}, **{f"{INPUT}{i}": i for i in range(len(names))}}
        found: dict[int, Array] = {}
        for name, array in inputs.items():
            if name not in positions:
                raise InvalidInput(f'Input "{name[:80]}" does not exist; the model takes {", ".join(names)}.')
            found[positions[name]] = array
        for index, name in enumerate(names):
            if index not in found:
                raise InvalidInput(f'Input "{name}" is missing; the model takes {", ".join(names)}.')
        return [found[index] for index in range(len(names))]

    def _tensor(self, array: Array, index: int) -> Any:
        if array.dtype.kind == "O":
            raise InvalidInput("PyTorch models take numbers, not BYTES.")
        tensor = super()._tensor(array, index)
        return tensor.to(self._floating) if tensor.is_floating_point() else tensor


class ExportedBackend(TorchBackend):
    """An ExportedProgram, which says names, shapes and datatypes of everything."""

    def __init__(self, program: Any, device: Any) -> None:
        call, values, results = _signature(program)
        super().__init__(
            call,
            ModelMetadata(
                platform="pytorch",
                inputs=tuple(_metadata(name, value) for name, value in values.items()),
                outputs=tuple(_metadata(name, value) for name, value in named_outputs(results).items()),
                any_input_name=len(values) == 1,
            ),
            device,
        )
        self._types = [value.dtype for value in values.values()]
        tensors = [*values.values(), *named_outputs(results).values()]
        axes: list[Any] = [tensor.shape[0] if tensor.dim() else 1 for tensor in tensors]
        # Rows are independent only where one and the same open size is the first axis of everything.
        self.batchable = bool(axes) and isinstance(axes[0], torch.SymInt) and len({str(size) for size in axes}) == 1
        self._least = 1
        if self.batchable:
            limits = program.range_constraints.get(axes[0].node.expr)
            if limits is not None:
                self._least = max(int(limits.lower), 1)
                upper = str(limits.upper)  # a number, or the name of an infinity
                self.max_batch_rows = int(upper) if upper.isdigit() else 0

    def sample(self, rows: int) -> Arrays | None:
        """Zeros, where only the batch is open."""
        inputs = self.metadata.inputs
        if not self.batchable and any(-1 in tensor.shape for tensor in inputs):
            return None  # several open sizes may have to fit each other
        return zeros(inputs, max(rows, self._least))

    def _tensor(self, array: Array, index: int) -> Any:
        return super()._tensor(array, index).to(self._types[index])


def load(path: Path, options: LoadOptions) -> TorchBackend:
    """Load a file of any of the kinds. The caller has checked that code is allowed.

    Raises UntrustedFormat for pickles of more than tensors, ModelLoadFailed for a device that cannot be had.
    """
    device = choose_device(options)
    kind = kind_of(path)
    if kind == EXPORTED:
        return ExportedBackend(open_exported(path, device), device)
    if kind == SCRIPT:
        script = open_script(path, device)
        arguments = script.forward.schema.arguments[1:]  # the first is the module itself
        needed = [each for each in arguments if not each.has_default_value()]
        for each in needed:
            if str(each.type) != "Tensor":
                raise ModelLoadFailed(f'forward takes "{each.name}", a {each.type}; only tensors can be sent.')
        return ModuleBackend(script, [each.name for each in needed], device, options.assume_batch_axis)
    module = open_weights(path, options.model_class, device)
    return ModuleBackend(module, _required(module.forward), device, options.assume_batch_axis)


def named_outputs(result: Any) -> dict[str, Any]:
    """Tensors by name: a dictionary's keys, else OUTPUT__0 and so on. Raises InferenceFailed for other answers."""
    if isinstance(result, torch.Tensor):
        return {OUTPUT + "0": result}
    if isinstance(result, Mapping):
        named = {str(name): value for name, value in result.items()}
    elif isinstance(result, (tuple, list)):
        named = {f"{OUTPUT}{index}": value for index, value in enumerate(result)}
    else:
        raise InferenceFailed(f"The model answered a {type(result).__name__}; expected tensors.")
    for name, value in named.items():
        if not isinstance(value, torch.Tensor):
            raise InferenceFailed(f'The model answered a {type(value).__name__} as "{name[:80]}"; expected a tensor.')
    return named


def _signature(program: Any) -> tuple[Callable[..., Any], dict[str, Any], Any]:
    """How to call a program with its inputs in a row; their fake tensors by name; the fake result."""
    from torch.utils import _pytree as pytree

    values = {node.name: node.meta.get("val") for node in program.graph.nodes if node.op == "placeholder"}
    inputs = {}
    for name in program.graph_signature.user_inputs:
        value = values.get(name)
        if not isinstance(value, torch.Tensor) or value.dtype not in DATATYPE_OF:
            raise ModelLoadFailed(f'The program takes "{name}", which is no tensor; only tensors can be sent.')
        inputs[str(name)] = value
    module = program.module()
    structure = program.call_spec.in_spec

    def call(*tensors: Any) -> Any:
        arguments, keywords = pytree.tree_unflatten(tensors, structure)
        return module(*arguments, **keywords)

    (output,) = (node for node in program.graph.nodes if node.op == "output")
    ends = {str(node): node.meta["val"] for node in output.args[0] if hasattr(node, "meta")}
    flat = [ends.get(str(name)) for name in program.graph_signature.user_outputs]
    return call, inputs, pytree.tree_unflatten(flat, program.call_spec.out_spec)


def _metadata(name: str, value: Any) -> TensorMetadata:
    datatype = DATATYPE_OF.get(value.dtype, "FP32")
    return TensorMetadata(name, datatype, tuple(size if isinstance(size, int) else -1 for size in value.shape))


def _required(forward: Callable[..., Any]) -> list[str]:
    parameters = inspect.signature(forward).parameters.values()
    plain = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [each.name for each in parameters if each.kind in plain and each.default is inspect.Parameter.empty]


def _floating_type(module: Any) -> Any:
    return next((each.dtype for each in module.parameters() if each.is_floating_point()), torch.float32)


def _array(tensor: Any) -> Array:
    if tensor.dtype == torch.bfloat16:
        tensor = tensor.float()
    array: Array = tensor.cpu().numpy()
    return array


def _reason(error: Exception) -> str:
    """The line that says it: TorchScript puts a traceback before it, PyTorch advice behind it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    own = next((line for line in lines if line.startswith("RuntimeError: ")), lines[0])
    return own.removeprefix("RuntimeError: ")[:300]
