"""Requests of every door with their right answers, and what makes an answer right. Pure."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from e2e.bench.cases import Door, Model
from e2e.bench.messages import ModelInferResponse
from e2e.grpc_client import infer_request
from haizen_runtime.protocol.wire import text_field

Array = np.ndarray[Any, Any]
REQUEST_ID = "bench"
"""Sent along: servers that would make one up send it back, and all their answers to a request are the same bytes."""
HEADER_LENGTH = "inference-header-content-length"
REQUEST_ID_FIELD = 3
IMAGES = 3
ROWS_APART = 5


class WrongAnswerError(Exception):
    """An answer that is not the right one; the message says what came."""


@dataclass(frozen=True, slots=True)
class Question:
    """An input and the values of its right answer."""

    input: Array
    answer: Array


def iris_questions() -> list[Question]:
    """Thirty flowers of all three classes, in an order that mixes them, with what scikit-learn says of them."""
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression

    features, classes = load_iris(return_X_y=True)
    model = LogisticRegression(max_iter=1000).fit(features, classes)
    rows = np.random.default_rng(3).permutation(features[::ROWS_APART]).astype(np.float32)
    return [Question(row[np.newaxis], model.predict(row[np.newaxis])) for row in rows]


def image_questions() -> list[Question]:
    """Images of random values between 0 and 1."""
    random = np.random.default_rng(5)
    images = [random.random((1, 3, 224, 224), dtype=np.float32) for _ in range(IMAGES)]
    return [Question(image, image) for image in images]


def compute_questions() -> list[Question]:
    """Numbers, and what the computing model makes of them."""
    return [Question(np.array([[start]], np.int64), np.array([computed(start)])) for start in range(1, 9)]


def computed(start: int, steps: int = 200_000) -> int:
    """What the computing model does: Python code that one core has to do step by step."""
    value = start
    for step in range(steps):
        value = (value * 31 + step) % 1_000_003
    return value


def questions_of(model: Model) -> list[Question]:
    """The questions that a model is asked."""
    made = {Model.IRIS: iris_questions, Model.IMAGE: image_questions, Model.COMPUTE: compute_questions}
    return made[model]()


def request_of(door: Door, model: Model, question: Question, path: str, input_name: str) -> bytes:
    """The bytes to send: a whole HTTP/1.1 request, or a gRPC message."""
    array, datatype = question.input, {"float32": "FP32", "int64": "INT64"}[question.input.dtype.name]
    if door is Door.GRPC:
        return infer_request(model, input_name, datatype, array) + text_field(REQUEST_ID_FIELD, REQUEST_ID)
    tensor: dict[str, Any] = {"name": input_name, "shape": list(array.shape), "datatype": datatype}
    document: dict[str, Any] = {"id": REQUEST_ID, "inputs": [tensor]}
    if door is Door.JSON:
        tensor["data"] = short_numbers(array)
        return http_request(path, json.dumps(document).encode(), {"Content-Type": "application/json"})
    tensor["parameters"] = {"binary_data_size": array.nbytes}
    document["parameters"] = {"binary_data_output": True}
    head = json.dumps(document).encode()
    headers = {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(len(head))}
    return http_request(path, head + array.tobytes(), headers)


def short_numbers(array: Array) -> list[float] | list[int]:
    """The values as the shortest decimals that give them back: what a person types, and a good client sends."""
    if array.dtype.kind == "f":
        return [float(str(value)) for value in array.ravel()]
    return [int(value) for value in array.ravel()]


def http_request(path: str, body: bytes, headers: Mapping[str, str]) -> bytes:
    """A POST as bytes."""
    lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


def check(door: Door, question: Question, body: bytes, headers: Mapping[str, str]) -> None:
    """Compare an answer's first output with the right one, value by value. Raises WrongAnswerError.

    `headers` are the answer's, with lower-case names; a gRPC message has none.
    """
    try:
        values = _grpc_values(body, question) if door is Door.GRPC else _http_values(body, headers, question)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise WrongAnswerError(f"no answer of the protocol ({error!r}): {body[:300]!r}") from error
    if values.size != question.answer.size or not np.array_equal(values.ravel(), question.answer.ravel()):
        raise WrongAnswerError(f"{values.ravel()[:5]} instead of {question.answer.ravel()[:5]}: {body[:300]!r}")


def _http_values(body: bytes, headers: Mapping[str, str], question: Question) -> Array:
    length = int(headers.get(HEADER_LENGTH, len(body)))
    document = json.loads(body[:length])
    output = _first_output(document)
    if "data" in output:
        return np.asarray(output["data"], dtype=question.answer.dtype)
    size = output["parameters"]["binary_data_size"]
    return np.frombuffer(body[length : length + size], dtype=question.answer.dtype)


def _first_output(document: Any) -> Mapping[str, Any]:
    outputs: Sequence[Mapping[str, Any]] = document if isinstance(document, list) else document["outputs"]
    return outputs[0]


def _grpc_values(message: bytes, question: Question) -> Array:
    response = ModelInferResponse.FromString(message)
    if response.raw_output_contents:
        return np.frombuffer(response.raw_output_contents[0], dtype=question.answer.dtype)
    contents = response.outputs[0].contents
    typed = contents.fp32_contents if question.answer.dtype.kind == "f" else contents.int64_contents
    return np.asarray(typed, dtype=question.answer.dtype)
