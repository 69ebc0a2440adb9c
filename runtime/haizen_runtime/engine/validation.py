"""Whether a request fits the model, before it may join anybody's batch."""

from __future__ import annotations

from haizen_runtime.protocol.errors import InvalidInput
from haizen_runtime.protocol.messages import InferenceRequest, ModelMetadata, Tensor, TensorMetadata
from haizen_runtime.protocol.shapes import fits


def validate(request: InferenceRequest, metadata: ModelMetadata | None, batchable: bool) -> None:
    """Check names, datatypes and shapes against the model's metadata. Raises InvalidInput naming the input.

    Of a model without metadata nothing is known but whether the first axis is a batch.
    """
    inputs = request.inputs
    if metadata is None:
        if batchable:
            _check_batch_axis(inputs)
        return
    if metadata.any_input_name and len(metadata.inputs) == 1:
        if len(inputs) == 1:
            _check(inputs[0], metadata.inputs[0], metadata.any_datatype)
        # Several inputs are columns of the one matrix: the backend knows their order.
    else:
        _check_named(inputs, metadata)
    if batchable:
        _check_batch_axis(inputs)
    if request.outputs:
        known = {tensor.name for tensor in metadata.outputs}
        for output in request.outputs:
            if output.name not in known:
                raise InvalidInput(
                    f'Output "{output.name[:80]}" does not exist; the model has {", ".join(sorted(known))}.'
                )


def _check_named(inputs: list[Tensor], metadata: ModelMetadata) -> None:
    expected = {tensor.name: tensor for tensor in metadata.inputs}
    names = ", ".join(expected)
    for tensor in inputs:
        if tensor.name not in expected:
            raise InvalidInput(f'Input "{tensor.name[:80]}" does not exist; the model takes {names}.')
    if len(inputs) < len(expected):
        given = {tensor.name for tensor in inputs}
        missing = next(name for name in expected if name not in given)
        raise InvalidInput(f'Input "{missing}" is missing; the model takes {names}.')
    for tensor in inputs:
        _check(tensor, expected[tensor.name], metadata.any_datatype)


def _check(tensor: Tensor, expected: TensorMetadata, any_datatype: bool) -> None:
    if tensor.datatype != expected.datatype and (
        not any_datatype or (tensor.datatype == "BYTES") != (expected.datatype == "BYTES")
    ):
        raise InvalidInput(
            f'Input "{tensor.name[:80]}" has datatype {tensor.datatype}; the model expects {expected.datatype}.'
        )
    if not fits(tensor.shape, expected.shape):
        raise InvalidInput(
            f'Input "{tensor.name[:80]}" has shape {list(tensor.shape)}; the model expects {list(expected.shape)}'
            f"{' (-1: any size)' if -1 in expected.shape else ''}."
        )


def _check_batch_axis(inputs: list[Tensor]) -> None:
    first = inputs[0]
    if not first.shape:
        raise InvalidInput(f'Input "{first.name[:80]}" has no dimensions; the first one is the batch.')
    rows = first.shape[0]
    if rows == 0:
        raise InvalidInput(f'Input "{first.name[:80]}" has 0 rows; send at least one.')
    for tensor in inputs:
        if not tensor.shape or tensor.shape[0] != rows:
            raise InvalidInput(
                f'Input "{tensor.name[:80]}" has shape {list(tensor.shape)}, but "{first.name[:80]}" has {rows} rows.'
            )
