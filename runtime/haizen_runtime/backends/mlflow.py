"""MLflow models of any flavour through pyfunc: a directory with a file called MLmodel."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import orjson
import pandas as pd

from haizen_runtime.backends.columns import OUTPUT, first_line
from haizen_runtime.backends.frames import column_of, frame_of
from haizen_runtime.backends.texts import bytes_of, texts_of
from haizen_runtime.engine.backend import Backend
from haizen_runtime.protocol.dtypes import NUMPY_OF, datatype_of
from haizen_runtime.protocol.errors import InferenceFailed, InvalidInput
from haizen_runtime.protocol.messages import ModelMetadata, TensorMetadata

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # a server tells nobody what it serves
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # about type hints inside MLflow itself
    import mlflow.pyfunc
logging.getLogger("mlflow").setLevel(logging.ERROR)  # it warns with every request that has a column too many

if TYPE_CHECKING:
    from haizen_runtime.backends.loading import LoadOptions
    from haizen_runtime.engine.backend import Arrays

Array = np.ndarray[Any, Any]

INPUT: Final = "input-0"
COLUMN_DATATYPES: Final = {"boolean": "BOOL", "integer": "INT32", "long": "INT64", "float": "FP32", "double": "FP64"}
"""The datatypes of a signature's columns; strings, times and what has no datatype in the protocol are BYTES."""
ROW_BY_ROW: Final = frozenset({"mlflow.sklearn", "mlflow.xgboost", "mlflow.lightgbm", "mlflow.catboost"})
"""Loaders whose models answer each row by itself, so that requests can be merged."""


class MlflowBackend(Backend):
    """A pyfunc model. A signature of columns takes a DataFrame, one of tensors an array or a dictionary of arrays."""

    takes_anything = True  # MLflow holds inputs against the signature itself, and knows which columns are optional

    def __init__(self, model: Any) -> None:
        self._model = model
        signature = model.metadata.signature
        inputs = [] if signature is None or signature.inputs is None else list(signature.inputs.inputs)
        outputs = [] if signature is None or signature.outputs is None else list(signature.outputs.inputs)
        self._takes_tensors = bool(inputs) and hasattr(inputs[0], "shape")
        self._specs = {spec.name: spec for spec in inputs if spec.name is not None}
        declared = _metadata(outputs, OUTPUT)
        self._only_output = declared[0].name if len(declared) == 1 else OUTPUT
        flavor = (model.metadata.flavors or {}).get("python_function", {})
        self.batchable = flavor.get("loader_module") in ROW_BY_ROW
        self.metadata = ModelMetadata(
            platform="mlflow",
            inputs=_metadata(inputs, INPUT) or (TensorMetadata(INPUT, "FP64", (-1, -1)),),
            outputs=declared,
            any_input_name=True,
            any_datatype=not inputs,
        )

    def execute(self, inputs: Arrays, outputs: Sequence[str] | None) -> dict[str, Array]:
        """Predict. What MLflow's check of the signature refuses is the caller's mistake."""
        data = self._data(inputs)
        try:
            result = self._model.predict(data)
        except (mlflow.MlflowException, ValueError, TypeError, KeyError) as error:
            raise InvalidInput(f"The model refused the input: {_what(error)}") from error
        tensors = self._tensors(result)
        if outputs is None:
            return tensors
        for name in outputs:
            if name not in tensors:
                raise InvalidInput(f'Output "{name[:80]}" does not exist; the model has {", ".join(tensors)[:300]}.')
        return {name: tensors[name] for name in outputs}

    def sample(self, rows: int) -> Arrays | None:
        """None: code of which nothing is known may refuse made-up values."""
        return None

    def _data(self, inputs: Arrays) -> Any:
        if self._takes_tensors:
            tensors = {name: _cast(array, self._datatype(name)) for name, array in inputs.items()}
            return tensors if self._specs else next(iter(tensors.values()))
        if not self._specs and len(inputs) == 1:
            (matrix,) = inputs.values()
            if self.metadata.any_datatype:
                return texts_of(matrix) if matrix.dtype.kind == "O" else matrix
            return pd.DataFrame(_cast(matrix, self.metadata.inputs[0].datatype))
        return frame_of({name: self._column(name, array) for name, array in inputs.items()})

    def _column(self, name: str, array: Array) -> Any:
        kind = _kind(self._specs[name]) if name in self._specs else ""
        values = column_of(name, array)
        if kind == "binary":
            return values
        values = _cast(values, self._datatype(name))
        if kind == "datetime":
            try:
                return pd.to_datetime(pd.Series(values))
            except (ValueError, TypeError) as error:
                raise InvalidInput(f'Input "{name[:80]}" has a value that is no time: {first_line(error)}') from None
        return values

    def _datatype(self, name: str) -> str | None:
        if not self._specs:
            return self.metadata.inputs[0].datatype
        return _datatype(self._specs[name]) if name in self._specs else None

    def _tensors(self, result: Any) -> dict[str, Array]:
        if isinstance(result, (pd.DataFrame, Mapping)):
            return {str(name): _tensor(result[name]) for name in result}
        return {self._only_output: _tensor(result)}


def load(path: Path, options: LoadOptions) -> MlflowBackend:
    """Load the directory that an MLmodel file is in. The caller has checked that code is allowed."""
    return MlflowBackend(mlflow.pyfunc.load_model(str(path.parent), suppress_warnings=True))


def _metadata(specs: list[Any], only: str) -> tuple[TensorMetadata, ...]:
    """What a signature says: tensors as they are, named columns one by one, columns without names as a matrix."""
    if not specs:
        return ()
    if hasattr(specs[0], "shape"):
        return tuple(TensorMetadata(spec.name or only, _datatype(spec), tuple(spec.shape)) for spec in specs)
    if specs[0].name is None:
        shape = (-1, len(specs)) if len(specs) > 1 else (-1,)
        return (TensorMetadata(only, _datatype(specs[0]), shape),)
    return tuple(TensorMetadata(spec.name, _datatype(spec), (-1,)) for spec in specs)


def _kind(spec: Any) -> str:
    return str(getattr(spec.type, "name", ""))


def _datatype(spec: Any) -> str:
    if hasattr(spec, "shape"):
        return datatype_of(np.empty(0, dtype=spec.type))
    return COLUMN_DATATYPES.get(_kind(spec), "BYTES")


def _cast(array: Array, datatype: str | None) -> Array:
    """The array in the signature's datatype where numpy calls that safe or of the same kind; else MLflow decides."""
    if array.dtype.kind == "O":
        return texts_of(array)
    if datatype is None or datatype == "BYTES" or not np.can_cast(array.dtype, NUMPY_OF[datatype], "same_kind"):
        return array
    return array.astype(NUMPY_OF[datatype], copy=False)


def _tensor(values: Any) -> Array:
    if not isinstance(values, (np.ndarray, pd.Series, list, tuple, str, int, float)):
        raise InferenceFailed(f"The model answers a {type(values).__name__}; expected arrays, lists or a DataFrame.")
    array = np.asarray(values)
    if array.dtype.kind in "iufb" and array.dtype != np.longdouble:
        return array if array.ndim else array.reshape(1)
    flat = np.empty(array.size, dtype=object)
    flat[:] = [_text(value) for value in array.reshape(-1)]
    return bytes_of(flat).reshape(array.shape or (1,))


def _text(value: Any) -> Any:
    if isinstance(value, (dict, list)):
        return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)
    return "" if value is None else value


def _what(error: Exception) -> str:
    """MLflow repeats the data before it says behind "Error: " what is wrong."""
    text = str(error).strip().rpartition("Error: ")[2]
    return text.splitlines()[0][:300] if text else first_line(error)
