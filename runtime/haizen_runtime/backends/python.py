"""Models written in Python: model.py, served from worker processes of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from haizen_runtime.engine.backend import Backend
from haizen_runtime.engine.metrics import WorkerUsage
from haizen_runtime.protocol.dtypes import NUMPY_OF
from haizen_runtime.protocol.errors import ModelLoadFailed
from haizen_runtime.protocol.messages import ModelMetadata, TensorMetadata
from haizen_runtime.workers.pool import WorkerPool

if TYPE_CHECKING:
    from haizen_runtime.backends.loading import LoadOptions
    from haizen_runtime.engine.backend import Arrays
    from haizen_runtime.engine.streams import Answers
    from haizen_runtime.protocol.messages import Scalar

Array = np.ndarray[Any, Any]


class PythonBackend(Backend):
    """A pool of processes with the model in each. The class in model.py says what may run together."""

    concurrent = True

    def __init__(self, pool: WorkerPool, description: dict[str, Any], count: int) -> None:
        self._pool = pool
        self.instances = count * int(description["concurrency"])
        self.max_batch_rows = int(description["max_batch_rows"])
        self.takes_json = bool(description["takes_json"])
        self.takes_headers = bool(description["takes_headers"])
        self.decoupled = bool(description["decoupled"])
        self.explains = bool(description["explains"])
        self.cancellable = bool(description["cancellable"])
        self.batchable = self.max_batch_rows > 1 and not self.takes_json and not self.decoupled
        inputs = _metadata(description["inputs"], "get_input_types")
        self.takes_anything = not inputs
        self.metadata = ModelMetadata(
            platform="python",
            inputs=inputs or (TensorMetadata("instances", "FP64", (-1,)),),
            outputs=_metadata(description["outputs"], "get_output_types"),
            any_input_name=not inputs,
            any_datatype=not inputs,
        )

    @property
    def problem(self) -> str | None:
        """Workers that end again and again."""
        return self._pool.problem

    def execute(self, inputs: Arrays, outputs: Sequence[str] | None) -> dict[str, Array]:
        """Wait for a worker's answer. Raises RequestError with the status that the model's code chose."""
        return self._pool.call(inputs, outputs)

    def explain(self, inputs: Arrays, outputs: Sequence[str] | None) -> dict[str, Array]:
        """Wait for a worker's explanation. Raises RequestError with the status that the model's code chose."""
        return self._pool.call(inputs, outputs, "explain")

    def stream(
        self, inputs: Arrays, outputs: Sequence[str] | None, parameters: Mapping[str, Scalar], answers: Answers
    ) -> None:
        """Hand a worker's answers on, while they are read. Raises RequestError as `execute`."""
        self._pool.stream(inputs, outputs, parameters, answers)

    def sample(self, rows: int) -> Arrays | None:
        """None: code of which nothing is known may refuse made-up values."""
        return None

    def workers(self) -> list[WorkerUsage]:
        """The processes and their memory."""
        return self._pool.usage()

    def close(self) -> None:
        """End the workers once they have answered; does not wait."""
        self._pool.close()


def load(path: Path, options: LoadOptions) -> PythonBackend:
    """Start the workers and have them load model.py. The caller has checked that code is allowed."""
    path = path.resolve()
    pool = WorkerPool(path, options.model_name, options.workers, options.worker_timeout_seconds, options.worker_limits)
    description = pool.start()
    try:
        return PythonBackend(pool, description, options.workers)
    except ModelLoadFailed:
        pool.close()
        raise


def _metadata(types: list[Any], method: str) -> tuple[TensorMetadata, ...]:
    for name, datatype, _ in types:
        if datatype not in NUMPY_OF:
            raise ModelLoadFailed(
                f'{method} says that "{name[:80]}" is of the datatype {datatype[:40]}; known are {", ".join(NUMPY_OF)}.'
            )
    return tuple(TensorMetadata(name, datatype, tuple(shape)) for name, datatype, shape in types)
