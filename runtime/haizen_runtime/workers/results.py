"""What model code returns, as named arrays."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import orjson

from haizen_runtime.engine.json_bodies import JSON_BODY, body_array
from haizen_runtime.protocol.errors import InferenceFailed
from haizen_runtime.protocol.json_body import parse_object
from haizen_runtime.protocol.tensor_bytes import as_bytes

Array = np.ndarray[Any, Any]

NOTHING: Final = "The model returned nothing: predict and postprocess must return their result."
GENERATOR: Final = (
    "predict returned a generator without being one: make predict itself a generator function, or set decoupled = True "
    "in the class, so that the answers are streamed."
)
OUTPUT: Final = "output-0"
"""KServe's name for an output without a name."""


def as_outputs(value: Any) -> dict[str, Array]:
    """Named arrays from a dictionary, from one array or list, or from a list of dictionaries (a row each).

    KServe's rule: a dictionary with `predictions` is a v1 answer, and those are its rows. Raises InferenceFailed.
    """
    if value is None:
        raise InferenceFailed(NOTHING)
    if inspect.isgenerator(value) or inspect.isasyncgen(value):
        raise InferenceFailed(GENERATOR)
    if isinstance(value, Mapping):
        if "predictions" in value:
            return as_outputs(value["predictions"])
        if not value:
            raise InferenceFailed("The model returned a dictionary without outputs.")
        return {str(name): as_array(each, str(name)) for name, each in value.items()}
    if isinstance(value, Sequence) and value and all(isinstance(row, Mapping) for row in value):
        names = list(value[0])
        if any(list(row) != names for row in value):
            return {OUTPUT: _texts(value)}
        return {str(name): as_array([row[name] for row in value], str(name)) for name in names}
    return {OUTPUT: as_array(value, OUTPUT)}


def body_of(inputs: Mapping[str, Array], max_depth: int) -> dict[str, Any]:
    """The dictionary of a v1 request that came as it is. Raises InvalidInput."""
    return parse_object(inputs[JSON_BODY].ravel()[0], max_depth)


def as_body(value: Any) -> dict[str, Array]:
    """What a model made of a v1 body, as JSON. Raises InferenceFailed for what JSON cannot hold."""
    if value is None:
        raise InferenceFailed(NOTHING)
    if inspect.isgenerator(value) or inspect.isasyncgen(value):
        raise InferenceFailed(GENERATOR)
    try:
        body = orjson.dumps(value, default=_plain, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS)
    except TypeError as error:
        raise InferenceFailed(f"The model's answer cannot be written as JSON: {error}.") from error
    return {JSON_BODY: body_array(body)}


def explanation_body(value: Any) -> dict[str, Array]:
    """What explain returned as the body of a v1 answer: a dictionary as it is, else under `explanations`."""
    if value is None:
        raise InferenceFailed("The model returned nothing: explain must return its result.")
    return as_body(value if isinstance(value, Mapping) else {"explanations": value})


def _plain(value: Any) -> Any:
    """JSON values for what orjson does not know: text of bytes, lists of arrays it refuses, of tensors, of sets."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, set | frozenset):
        return list(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"Type is not JSON serializable: {type(value).__name__}")


def as_array(value: Any, name: str) -> Array:
    """An array of a datatype of the protocol, with one dimension at least. Raises InferenceFailed naming the output."""
    if hasattr(value, "detach"):  # a torch tensor
        value = value.detach().cpu()
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise InferenceFailed(f'Output "{name[:80]}" has rows of different lengths.') from error
    kind = array.dtype.kind
    if kind in "US":
        array = _bytes(array.astype(object))
    elif kind == "O":
        array = _bytes(array)
    elif kind == "f" and array.dtype.itemsize > 8:
        array = array.astype(np.float64)
    elif kind not in "biuf":
        raise InferenceFailed(f'Output "{name[:80]}" is of the type {array.dtype}, which no datatype can carry.')
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    return array if array.ndim else array.reshape(1)


def _texts(rows: Sequence[Any]) -> Array:
    """A row each as JSON text, where rows have no common names."""
    array = np.empty(len(rows), dtype=object)
    for index, row in enumerate(rows):
        array[index] = json.dumps(row, default=str).encode()
    return array


def _bytes(array: Array) -> Array:
    flat = np.empty(array.size, dtype=object)
    for index, value in enumerate(array.ravel().tolist()):
        flat[index] = json.dumps(value, default=str).encode() if isinstance(value, dict | list) else as_bytes(value)
    return flat.reshape(array.shape)
