"""What the author of a model's own Python code imports: `from haizen_runtime import Model`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar


class Model:
    """The base class of a model written in Python. `model.py` in the model's directory holds one subclass of it.

    A subclass has at least `predict(self, inputs)`. Each of `load`, `preprocess`, `predict`, `postprocess` and
    `explain` may be an ordinary method or a coroutine. `inputs` is a dictionary of names to numpy arrays, BYTES
    elements being `bytes`; rows of KServe's v1 protocol are under the name of the declared input, else under
    `instances`, and rows that are objects give an array for each of their names. What comes out is a dictionary of
    names to arrays (or lists), one array or list (the output is then called `output-0`), or a list of dictionaries with
    one row each.

    A `predict` that is a generator, ordinary or asynchronous, streams: each item it yields is one answer, in one of the
    forms above. Such a model is asked by generate_stream, or by ModelStreamInfer over gRPC. It may take a second
    argument called `parameters`, a dictionary of the request's parameters.

    The code runs in a worker process of its own: when it crashes or hangs, the server stays up and the process is
    replaced. Raise InvalidInput (400) or another RequestError for an error with its own status; any other exception is
    answered by 500 with its message, and its traceback is logged.
    """

    max_batch_size: ClassVar[int] = 1
    """More than 1: that many rows may come as one call, merged along the first axis, and outputs have as many rows."""
    max_concurrency: ClassVar[int] = 32
    """How many calls run at once in a worker process when `predict` is a coroutine; otherwise it is one."""
    cancellable: ClassVar[bool] = True
    """Coroutines get a CancelledError once nobody waits for their answer any more; False: they run to their end."""

    takes_json: ClassVar[bool] = False
    """True: a v1 request comes as the dictionary that its body is (`{"instances": ...}` and whatever else), and the
    dictionary that is returned is the answer's body. Other requests are arrays by name all the same."""

    decoupled: ClassVar[bool] = False
    """True: `predict` returns a generator, without being one. For a generator function it need not be said."""

    name: str = "model"
    """The model's name; set before `load`."""
    directory: Path = Path()
    """Where model.py and the files beside it are; set before `load`."""

    def load(self) -> Any:
        """Read weights and whatever else `predict` needs. Requests come after it has returned."""

    def preprocess(self, inputs: Any) -> Any:
        """Make what `predict` takes of the request's inputs."""
        return inputs

    def postprocess(self, outputs: Any) -> Any:
        """Make the answer of what `predict` gave, or of each item that it yielded."""
        return outputs

    def explain(self, inputs: Any) -> Any:
        """Explain a prediction (KServe's v1 `:explain`); `inputs` is what `preprocess` made.

        A dictionary is the answer's body, anything else goes into it as `explanations`.
        """
        raise NotImplementedError("The model has no method explain.")

    def get_input_types(self) -> list[dict[str, Any]]:
        """Inputs as `{"name", "datatype", "shape"}`, -1 for any size; they are checked. Empty: anything is taken."""
        return []

    def get_output_types(self) -> list[dict[str, Any]]:
        """Outputs in the same form, for the model's metadata."""
        return []

    def stop(self) -> Any:
        """Let go of what `load` took, when the model is unloaded."""
