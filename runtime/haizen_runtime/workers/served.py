"""A model object behind one face, whatever its class: load, infer, stop; in the worker process."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any, Final

import numpy as np

from haizen_runtime.engine.json_bodies import JSON_BODY
from haizen_runtime.model import Model
from haizen_runtime.protocol.errors import InvalidInput, ModelLoadFailed
from haizen_runtime.protocol.messages import Scalar
from haizen_runtime.workers.emitting import items_of
from haizen_runtime.workers.loading import import_code, kserve_bases, load_error, make_model, model_class
from haizen_runtime.workers.results import as_body, as_outputs, body_of, explanation_body

Array = np.ndarray[Any, Any]

DEFAULT_CONCURRENCY: Final = 32
"""Calls at once for coroutines of a class that does not say how many."""

METHODS: Final = ("preprocess", "predict", "postprocess", "explain")
"""What a call may run; only a coroutine can be cancelled."""


class ServedModel:
    """An object with `predict`; every other method is optional, and each may be a coroutine."""

    def __init__(self, model: Any, path: Path, json_depth: int) -> None:
        self._model = model
        self._path = path
        self._json_depth = json_depth
        predict = model.predict
        self.decoupled = bool(getattr(model, "decoupled", False)) or (
            inspect.isgeneratorfunction(predict) or inspect.isasyncgenfunction(predict)
        )
        self.explains = getattr(type(model), "explain", None) not in (None, Model.explain)
        self._takes_parameters = self.decoupled and takes_parameters(predict)
        self.cancellable = bool(getattr(model, "cancellable", True)) and any(
            inspect.iscoroutinefunction(getattr(model, name, None)) for name in METHODS
        )  # of a class that streams this is about explanations: a stream is stopped by its reader (engine/streams.py)
        is_async = inspect.iscoroutinefunction(predict) or inspect.isasyncgenfunction(predict)
        self.concurrency = _whole(model, "max_concurrency", DEFAULT_CONCURRENCY, path) if is_async else 1
        self.max_batch_rows = _whole(model, "max_batch_size", 1, path)
        self.takes_json = bool(getattr(model, "takes_json", False))
        self.takes_headers = False

    async def load(self) -> None:
        """Raises ModelLoadFailed with the line in the model's code."""
        load = getattr(self._model, "load", None)
        if load is None:
            return
        try:
            result = await settled(load(self._path.parent) if _takes_one(load) else load())
        except (Exception, SystemExit) as error:
            raise load_error(error, self._path) from error
        if result is False:
            raise ModelLoadFailed(f"{self._path.name}: load returned False.")

    async def infer(self, inputs: Mapping[str, Array], outputs: Sequence[str] | None) -> dict[str, Array]:
        """Run the three methods. Raises whatever they raise; InvalidInput for an output that is not there."""
        if JSON_BODY in inputs and self.takes_json:
            return as_body(await self.call(body_of(inputs, self._json_depth)))
        return wanted(as_outputs(await self.call(dict(inputs))), outputs)

    async def explain(self, inputs: Mapping[str, Array], outputs: Sequence[str] | None) -> dict[str, Array]:
        """Run preprocess and explain; gives the body of a v1 answer. Raises whatever they raise."""
        value = body_of(inputs, self._json_depth) if JSON_BODY in inputs and self.takes_json else dict(inputs)
        return explanation_body(await self.call(value, ("preprocess", "explain")))

    async def stream(
        self, inputs: Mapping[str, Array], outputs: Sequence[str] | None, parameters: Mapping[str, Scalar]
    ) -> AsyncGenerator[dict[str, Array]]:
        """Run preprocess once, and postprocess on each of the answers that predict yields. Raises as `infer`."""
        value = await self.call(dict(inputs), ("preprocess",))
        more = (dict(parameters),) if self._takes_parameters else ()
        async with aclosing(items_of(self._model.predict(value, *more))) as items:
            async for item in items:
                yield wanted(as_outputs(await self.call(item, ("postprocess",))), outputs)

    async def call(self, value: Any, names: Sequence[str] = ("preprocess", "predict", "postprocess")) -> Any:
        """What comes of the value when these methods are applied to it one after the other."""
        for name in names:
            method = getattr(self._model, name, None)
            if method is not None:
                value = await settled(method(value))
        return value

    async def stop(self) -> None:
        """Let the model end what it began."""
        stop = getattr(self._model, "stop", None)
        if stop is not None:
            await settled(stop())

    def described(self) -> dict[str, Any]:
        """What the server is told about the model once it is loaded. Raises ModelLoadFailed."""
        return {
            "kind": type(self._model).__name__,
            "concurrency": self.concurrency,
            "cancellable": self.cancellable,
            "max_batch_rows": self.max_batch_rows,
            "takes_json": self.takes_json,
            "takes_headers": self.takes_headers,
            "decoupled": self.decoupled,
            "explains": self.explains,
            "inputs": self._types("get_input_types"),
            "outputs": self._types("get_output_types"),
        }

    def _types(self, method: str) -> list[list[Any]]:
        get = getattr(self._model, method, None)
        try:
            return [[str(t["name"]), str(t["datatype"]), [int(n) for n in t["shape"]]] for t in (get() if get else [])]
        except (Exception, SystemExit) as error:
            raise ModelLoadFailed(
                f'{self._path.name}: {method} must return a list of {{"name", "datatype", "shape"}}: {error!r}'
            ) from error


def serve_code(path: Path, name: str, json_depth: int) -> ServedModel:
    """Import model.py and make the model of it, not loaded yet. Raises ModelLoadFailed.

    `json_depth` is how deep bodies may nest that go to it as they are.
    """
    from haizen_runtime.workers import vertex

    vertex.prepare(path)
    kind = model_class(import_code(path), path)
    model = make_model(kind, name, path)
    bases = tuple(kserve_bases())
    if bases and isinstance(model, bases):
        from haizen_runtime.workers.kserve_models import KServeModel

        return KServeModel(model, path, json_depth)
    served = vertex.PredictorModel if vertex.is_predictor(model) else ServedModel
    return served(model, path, json_depth)


async def settled(value: Any) -> Any:
    """The value, or what it gives when awaited."""
    return await value if inspect.isawaitable(value) else value


def wanted(result: dict[str, Array], names: Sequence[str] | None) -> dict[str, Array]:
    """The outputs that were asked for. Raises InvalidInput for one that the model did not give."""
    if names is None:
        return result
    for name in names:
        if name not in result:
            raise InvalidInput(f'Output "{name[:80]}" does not exist; the model gave {", ".join(result)}.')
    return {name: result[name] for name in names}


def _whole(model: Any, name: str, default: int, path: Path) -> int:
    value = getattr(model, name, default)
    if not isinstance(value, int) or value < 1:
        raise ModelLoadFailed(f"{path.name}: {name} must be a whole number of 1 or more, not {value!r}.")
    return value


def _takes_one(load: Any) -> bool:
    """Whether load wants the directory."""
    parameters = inspect.signature(load).parameters.values()
    return any(p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters)


def listed(array: Array) -> Any:
    """An array as nested lists, BYTES as text."""
    if array.dtype.kind != "O":
        return array.tolist()
    flat = [value.decode("utf-8", "replace") if isinstance(value, bytes) else value for value in array.ravel()]
    return np.array(flat, dtype=object).reshape(array.shape).tolist()


def takes_parameters(predict: Any) -> bool:
    """Whether a method has an argument for the request's parameters."""
    return "parameters" in inspect.signature(predict).parameters
