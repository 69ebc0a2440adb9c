"""A kserve.Model in the worker process: called as KServe's own server calls it, with its payloads."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any, Final

import numpy as np

from haizen_runtime.engine.call_details import ANSWER_DETAILS, CALL_DETAILS, AnswerDetails, CallDetails
from haizen_runtime.engine.json_bodies import JSON_BODY
from haizen_runtime.protocol.dtypes import NUMPY_OF
from haizen_runtime.protocol.errors import InferenceFailed, ModelLoadFailed
from haizen_runtime.protocol.messages import Scalar
from haizen_runtime.workers.emitting import items_of
from haizen_runtime.workers.results import as_body, as_outputs, body_of, explanation_body
from haizen_runtime.workers.served import ServedModel, listed, wanted

Array = np.ndarray[Any, Any]

_BINARY_SIZE: Final = "binary_data_size"
"""KServe notes it in an output's parameters; whether the answer is binary is not the model's business here."""


class KServeModel(ServedModel):
    """A kserve.Model: called as KServe's own server calls it, with its payloads and through its `__call__`."""

    def __init__(self, model: Any, path: Path, json_depth: int) -> None:
        super().__init__(model, path, json_depth)
        self._name = model.name
        self.max_batch_rows = 1
        self.takes_json = True
        self.takes_headers = True
        self.explains = True  # or says itself, by NotImplementedError, that it does not

    async def load(self) -> None:
        """KServe's rule: a model is ready when `ready` says so after load."""
        await super().load()
        if not self._model.ready:
            raise ModelLoadFailed(
                f"{self._path.name}: the model is not ready after load; load must set self.ready = True."
            )

    async def infer(self, inputs: Mapping[str, Array], outputs: Sequence[str] | None) -> dict[str, Array]:
        """A v1 body goes in as its dictionary, tensors as an InferRequest."""
        answer, headers = await self._called(inputs)
        if JSON_BODY in inputs:
            ANSWER_DETAILS.set(_details(headers))
            return as_body(_plain(answer))
        ANSWER_DETAILS.set(_details(headers, answer))
        return wanted(_outputs(answer), outputs)

    async def explain(self, inputs: Mapping[str, Array], outputs: Sequence[str] | None) -> dict[str, Array]:
        """Raises NotImplementedError, as kserve.Model does, for a class without explain."""
        answer, headers = await self._called(inputs, **_explain_verb())
        ANSWER_DETAILS.set(_details(headers))
        return explanation_body(_plain(answer))

    async def stream(
        self, inputs: Mapping[str, Array], outputs: Sequence[str] | None, parameters: Mapping[str, Scalar]
    ) -> AsyncGenerator[dict[str, Array]]:
        """What predict yields, each as the answer it would be by itself."""
        answer, _ = await self._called(inputs)
        async with aclosing(items_of(answer)) as items:
            async for item in items:
                yield wanted(_outputs(item), outputs)

    async def _called(self, inputs: Mapping[str, Array], **verb: Any) -> tuple[Any, Mapping[Any, Any]]:
        """The answer, and the headers for it, which are there since KServe 0.15."""
        payload: Any
        details = CALL_DETAILS.get() or {}
        if JSON_BODY in inputs:
            payload = body_of(inputs, self._json_depth)
        elif list(inputs) == ["instances"]:
            payload = {"instances": listed(inputs["instances"])}
        else:
            payload = self._request(inputs, details)
        answer = await self._model(payload, headers=details.get("headers", {}), **verb)
        return answer if isinstance(answer, tuple) else (answer, {})

    def _request(self, inputs: Mapping[str, Array], details: CallDetails) -> Any:
        import importlib

        from haizen_runtime.protocol.dtypes import datatype_of

        kserve = importlib.import_module("kserve")
        tensors = []
        for name, array in inputs.items():
            datatype = datatype_of(array)
            tensor = kserve.InferInput(name, list(array.shape), datatype)
            tensor.set_data_from_numpy(array, binary_data=datatype == "FP16")  # the one that lists cannot carry
            tensors.append(tensor)
        return kserve.InferRequest(
            model_name=self._name, infer_inputs=tensors, request_id=details.get("id"),
            parameters=details.get("parameters", {}),
        )  # fmt: skip


def _explain_verb() -> dict[str, Any]:
    """How a kserve.Model is told to explain: `verb` since 0.11, `model_type` before."""
    module = sys.modules["kserve.model"]
    if hasattr(module, "InferenceVerb"):
        return {"verb": module.InferenceVerb.EXPLAIN}
    return {"model_type": module.ModelType.EXPLAINER}


def _plain(answer: Any) -> Any:
    """What JSON can hold of an InferResponse: its dictionary, which comes in a pair since 0.14; else the very same."""
    body = answer.to_rest() if hasattr(answer, "to_rest") else answer
    return body[0] if isinstance(body, tuple) and body is not answer else body


def _outputs(answer: Any) -> dict[str, Array]:
    if hasattr(answer, "outputs"):
        return {each.name: _numpy(each) for each in answer.outputs}
    return as_outputs(answer)


def _numpy(output: Any) -> Array:
    array = as_outputs(output.as_numpy())
    (value,) = array.values()
    return value.reshape(output.shape) if output.datatype in NUMPY_OF else value


def _details(headers: Mapping[Any, Any], answer: Any = None) -> AnswerDetails | None:
    """What an answer says beside its tensors, if anything: an InferResponse has an id, and parameters."""
    outputs = answer.outputs if hasattr(answer, "outputs") else []
    identifier = getattr(answer, "id", None)
    details: AnswerDetails = {
        "headers": {str(name): str(value) for name, value in headers.items()},
        "id": str(identifier) if identifier else None,
        "parameters": _parameters(getattr(answer, "parameters", None)),
        "outputs": {output.name: found for output in outputs if (found := _parameters(output.parameters))},
    }
    return details if any(details.values()) else None


def _parameters(parameters: Mapping[str, Any] | None) -> dict[str, Scalar]:
    """An InferResponse's parameters, which may be protobuf's. Raises InferenceFailed."""
    found = {}
    for name, value in (parameters or {}).items():
        kind = value.WhichOneof("parameter_choice") if hasattr(value, "WhichOneof") else None
        plain = getattr(value, kind) if kind else value
        if not isinstance(plain, Scalar):
            raise InferenceFailed(
                f'The parameter "{str(name)[:80]}" of the model\'s answer must be text, a number or a boolean, '
                f"not {type(plain).__name__}."
            )
        if name != _BINARY_SIZE:
            found[str(name)] = plain
    return found
