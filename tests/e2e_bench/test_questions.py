import json

import numpy as np
import pytest

from e2e.bench.cases import Door, Model
from e2e.bench.messages import ModelInferRequest, ModelInferResponse
from e2e.bench.questions import (
    HEADER_LENGTH,
    Question,
    WrongAnswerError,
    check,
    iris_questions,
    questions_of,
    request_of,
    short_numbers,
)

ROW = Question(np.array([[5.1, 3.5, 1.4, 0.2]], np.float32), np.array([0], np.int64))
PAIR = Question(np.array([[0.5, 0.25]], np.float32), np.array([0.5, 0.25], np.float32))


def split(request: bytes) -> tuple[dict[str, str], bytes]:
    head, _, body = request.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "POST /infer HTTP/1.1"
    return {name.lower(): value for name, value in (line.split(": ") for line in lines[1:])}, body


def test_a_json_request_is_what_it_says_and_short() -> None:
    headers, body = split(request_of(Door.JSON, Model.IRIS, ROW, "/infer", "rows"))
    (tensor,) = json.loads(body)["inputs"]
    assert int(headers["content-length"]) == len(body)
    assert tensor == {"name": "rows", "shape": [1, 4], "datatype": "FP32", "data": [5.1, 3.5, 1.4, 0.2]}


def test_a_binary_request_has_its_bytes_behind_the_header() -> None:
    headers, body = split(request_of(Door.BINARY, Model.IMAGE, PAIR, "/infer", "rows"))
    length = int(headers[HEADER_LENGTH])
    assert json.loads(body[:length])["parameters"] == {"binary_data_output": True}
    assert np.frombuffer(body[length:], np.float32).tolist() == [0.5, 0.25]


def test_a_grpc_request_is_googles() -> None:
    request = ModelInferRequest.FromString(request_of(Door.GRPC, Model.IRIS, ROW, "", "rows"))
    assert (request.model_name, request.id, request.inputs[0].name) == ("iris", "bench", "rows")
    assert list(request.inputs[0].shape) == [1, 4]
    assert request.raw_input_contents[0] == ROW.input.tobytes()


def test_short_numbers_give_the_same_values_back() -> None:
    values = np.random.default_rng(1).random(1000, dtype=np.float32)
    assert np.array_equal(np.array(short_numbers(values), np.float32), values)


def test_iris_is_asked_in_an_order_that_mixes_all_classes() -> None:
    answers = [int(question.answer[0]) for question in iris_questions()]
    assert set(answers) == {0, 1, 2}
    assert answers != sorted(answers)


def test_images_differ() -> None:
    first, second, *_ = questions_of(Model.IMAGE)
    assert first.input.shape == (1, 3, 224, 224)
    assert not np.array_equal(first.input, second.input)


def outputs(**tensor: object) -> bytes:
    return json.dumps({"outputs": [{"name": "y", **tensor}]}).encode()


BINARY_HEADER = outputs(parameters={"binary_data_size": 8})
IN_BYTES = {HEADER_LENGTH: str(len(BINARY_HEADER))}


@pytest.mark.parametrize(
    ("question", "body", "headers"),
    [
        pytest.param(ROW, outputs(data=[0]), {}, id="v2"),
        pytest.param(ROW, outputs(data=[[0]]), {}, id="nested"),
        pytest.param(ROW, b'[{"data": [0]}]', {}, id="a list of outputs"),
        pytest.param(PAIR, BINARY_HEADER + PAIR.answer.tobytes(), IN_BYTES, id="binary"),
    ],
)
def test_right_answers(question: Question, body: bytes, headers: dict[str, str]) -> None:
    check(Door.JSON, question, body, headers)


@pytest.mark.parametrize(
    ("question", "body", "headers"),
    [
        pytest.param(ROW, outputs(data=[1]), {}, id="another class"),
        pytest.param(ROW, outputs(data=[]), {}, id="no value"),
        pytest.param(ROW, outputs(data=[0, 0]), {}, id="too many values"),
        pytest.param(ROW, outputs(data=["zero"]), {}, id="words"),
        pytest.param(ROW, b'{"error": "no"}', {}, id="an error"),
        pytest.param(ROW, b"OK", {}, id="no JSON"),
        pytest.param(PAIR, BINARY_HEADER + PAIR.answer.tobytes()[:4], IN_BYTES, id="half of the bytes"),
        pytest.param(PAIR, BINARY_HEADER + PAIR.answer[::-1].tobytes(), IN_BYTES, id="the wrong order"),
    ],
)
def test_wrong_answers(question: Question, body: bytes, headers: dict[str, str]) -> None:
    with pytest.raises(WrongAnswerError):
        check(Door.JSON, question, body, headers)


@pytest.mark.parametrize("raw", [True, False], ids=["raw contents", "typed contents"])
@pytest.mark.parametrize(("label", "right"), [(0, True), (2, False)], ids=["right", "wrong"])
def test_grpc_answers(raw: bool, label: int, right: bool) -> None:
    response = ModelInferResponse()
    output = response.outputs.add(name="y", datatype="INT64", shape=[1])
    if raw:
        response.raw_output_contents.append(np.array([label], np.int64).tobytes())
    else:
        output.contents.int64_contents.append(label)
    if right:
        check(Door.GRPC, ROW, response.SerializeToString(), {})
    else:
        with pytest.raises(WrongAnswerError):
            check(Door.GRPC, ROW, response.SerializeToString(), {})
