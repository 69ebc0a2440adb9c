"""PMML models on PMML4S, which runs on Java in this process (pypmml brings it, Java comes from the machine)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from xml.parsers import expat

import jpype
import numpy as np
import orjson
import pypmml

from haizen_runtime.backends.columns import as_matrix, first_line, mixed_rows
from haizen_runtime.backends.texts import bytes_of
from haizen_runtime.engine.backend import Backend
from haizen_runtime.protocol.dtypes import NUMPY_OF
from haizen_runtime.protocol.errors import BackendMissing, InvalidInput, ModelLoadFailed, UntrustedFormat
from haizen_runtime.protocol.messages import ModelMetadata, TensorMetadata

if TYPE_CHECKING:
    from haizen_runtime.backends.loading import LoadOptions
    from haizen_runtime.engine.backend import Arrays

Array = np.ndarray[Any, Any]

DATATYPE_OF: Final = {"integer": "INT64", "float": "FP32", "double": "FP64", "real": "FP64", "boolean": "BOOL"}
"""PMML's data types; strings and times are BYTES."""
JAVA_OPTIONS: Final = ["-Xrs", "-XX:-UsePerfData"]
"""SIGTERM is the server's own, which drains; and no file of statistics is written to /tmp."""
NO_INTEGER: Final = -(2**63)
"""What PMML4S gives for an integer that has no value."""


class PmmlBackend(Backend):
    """A PMML model: one input per field, or one matrix where all fields are numbers; one output per output field."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._fields = [(str(field.name), _datatype(field)) for field in model.inputFields]
        self._outputs = [(str(field.name), _datatype(field)) for field in model.outputFields]
        self._columns = [name for name, _ in self._fields]
        if not self._fields or not self._outputs:
            raise ModelLoadFailed("The model has no input fields or no output fields.")
        self._has_texts = any(datatype == "BYTES" for _, datatype in self._fields)
        inputs: tuple[TensorMetadata, ...] = (TensorMetadata("input-0", "FP64", (-1, len(self._fields))),)
        if self._has_texts:
            inputs = tuple(TensorMetadata(name, datatype, (-1,)) for name, datatype in self._fields)
        self.metadata = ModelMetadata(
            platform="pmml",
            inputs=inputs,
            outputs=tuple(TensorMetadata(name, datatype, (-1,)) for name, datatype in self._outputs),
            any_input_name=not self._has_texts,
            any_datatype=not self._has_texts,
        )

    def execute(self, inputs: Arrays, outputs: Sequence[str] | None) -> dict[str, Array]:
        """Score all rows in one call; NaN is PMML's missing value. What the model then says is up to the model."""
        matrix = as_matrix(inputs, self._columns, len(self._fields))
        if matrix.ndim != 2:
            raise InvalidInput(f"The input has {matrix.ndim} dimensions; expected rows of {len(self._fields)} columns.")
        table = orjson.dumps({"columns": self._columns, "data": mixed_rows(matrix).tolist()})
        try:
            answer = orjson.loads(str(self._model.call("predict", table.decode())))
        except jpype.JException as error:
            raise InvalidInput(f"The model refused the input: {first_line(error)}") from error
        columns = dict(zip(answer["columns"], zip(*answer["data"], strict=True), strict=True))
        wanted = [pair for pair in self._outputs if outputs is None or pair[0] in outputs]
        return {name: _output(name, datatype, columns[name]) for name, datatype in wanted}

    def sample(self, rows: int) -> Arrays | None:
        """Zeros; None for a model that takes strings."""
        return None if self._has_texts else {"input-0": np.zeros((rows, len(self._fields)))}


def load(path: Path, options: LoadOptions) -> PmmlBackend:
    """Load a model. Raises UntrustedFormat for XML with a document type, BackendMissing without Java."""
    _check_prolog(path)
    try:
        pypmml.PMMLContext.getOrCreate(gateway="jpype", java_opts=list(JAVA_OPTIONS))
    except jpype.JVMNotFoundException as error:
        raise BackendMissing(
            "The pmml format needs Java 8 or newer, which is not on this machine: install a Java runtime "
            "(Debian: default-jre-headless), or say in JAVA_HOME where it is."
        ) from error
    return PmmlBackend(pypmml.Model.fromFile(str(path)))


class _RootReached(Exception):
    """The prolog is over."""


def _check_prolog(path: Path) -> None:
    """Refuse a document type: it could define entities that read the pod's files or fill its memory."""

    def doctype(*_: Any) -> None:
        raise UntrustedFormat(f"{path.name} has a DOCTYPE, which no PMML file needs and which can name other files.")

    def root(name: str, _: Any) -> None:
        if name.rpartition(":")[2] != "PMML":
            raise ModelLoadFailed(f"{path.name} is XML with the root element {name[:60]}; expected PMML.")
        raise _RootReached

    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = doctype
    parser.StartElementHandler = root
    try:
        with path.open("rb") as file:
            parser.ParseFile(file)
    except _RootReached:
        return


def _datatype(field: Any) -> str:
    return DATATYPE_OF.get(str(field.dataType), "BYTES")


def _output(name: str, datatype: str, values: Sequence[Any]) -> Array:
    if datatype == "BYTES":
        return bytes_of(np.array(["" if value is None else value for value in values], dtype=object))
    if datatype in ("FP32", "FP64"):
        return np.array([np.nan if value is None else value for value in values], dtype=NUMPY_OF[datatype])
    for row, value in enumerate(values):
        if value is None or value == NO_INTEGER:
            raise InvalidInput(f'The model gives no "{name[:80]}" for row {row}: a value that it needs is missing.')
    return np.array(values, dtype=NUMPY_OF[datatype])
