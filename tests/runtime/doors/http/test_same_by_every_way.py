"""One table of tensors, good and bad, by every door, encoding and compression: the same answer, the same error."""

from __future__ import annotations

from typing import Any

import httpx
import numpy as np
import pytest

from haizen_runtime.protocol.tensor_bytes import narrowed, widened
from tests.runtime.conftest import RuntimeProcess
from tests.runtime.doors.ways import WAYS, Refused, Sent, Way
from tests.runtime.tensor_cases import DATATYPES, values_of


@pytest.fixture(params=WAYS, ids=str)
def way(request: pytest.FixtureRequest) -> Way:
    found: Way = request.param
    return found


ONE = np.ones((1, 1), np.float32)
TEXT = np.array([[b"a"]], object)
THREE = [Sent("a", "FP32", ONE), Sent("b", "BYTES", TEXT), Sent("c", "FP64", ONE.astype("f8"))]


def test_every_datatype(models: RuntimeProcess, way: Way) -> None:
    for datatype in filter(way.carries, DATATYPES):
        array = values_of(datatype, (3, 2))
        answer = way.infer(models, datatype.lower(), [Sent("x", datatype, array)])
        assert isinstance(answer, dict), answer
        np.testing.assert_array_equal(answer["y"], array)


@pytest.mark.parametrize("datatype", ["FP16", "FP32", "FP64"])
def test_numbers_that_are_none(models: RuntimeProcess, way: Way, datatype: str) -> None:
    """NaN and infinities go in and out exactly as bytes and as typed contents; JSON has null, which is NaN, for all."""
    if not way.carries(datatype):
        return
    dtype = {"FP16": "f2", "FP32": "f4", "FP64": "f8"}[datatype]
    array = np.array([[np.nan, np.inf], [-np.inf, -0.0]], dtype)
    answer = way.infer(models, datatype.lower(), [Sent("x", datatype, array)])
    expected = np.where(np.isfinite(array), array, np.nan) if way.encoding == "json" else array
    assert isinstance(answer, dict), answer
    np.testing.assert_array_equal(answer["y"], expected)
    np.testing.assert_array_equal(np.signbit(answer["y"][1, 1]), True)


def test_bf16_is_a_number_to_models(models: RuntimeProcess, iris_model: Any, way: Way) -> None:
    rows = widened(narrowed(np.array([[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]], np.float32)))
    datatype = "BF16" if way.carries("BF16") else "FP32"
    answer = way.infer(models, "iris", [Sent("x", datatype, rows)])
    assert isinstance(answer, dict), answer
    assert answer["output-0"].tolist() == iris_model.predict(rows).tolist()


@pytest.mark.parametrize(
    ("model", "tensors", "kind", "says"),
    [
        pytest.param("rose", [Sent("x", "FP32", ONE)], "not found", "rose does not exist", id="unknown-model"),
        pytest.param("fp32", [], "invalid", "at least one input", id="no-inputs"),
        pytest.param("three", THREE[:2], "invalid", "c", id="missing-input"),
        pytest.param("three", [*THREE, Sent("d", "FP32", ONE)], "invalid", '"d" does not exist', id="extra-input"),
        pytest.param("three", [*THREE, THREE[0]], "invalid", "given twice", id="input-twice"),
        pytest.param("fp32", [Sent("x", "FP64", ONE)], "invalid", "expects FP32", id="other-datatype"),
        pytest.param("fp32", [Sent("x", "FP32", ONE, (1, 1, 1))], "invalid", "expects", id="rank"),
        pytest.param("fp32", [Sent("x", "FP32", ONE, (1, 2))], "invalid", "x", id="too-few"),
        pytest.param("fp32", [Sent("x", "FP32", np.ones((1, 2), "f4"), (1, 1))], "invalid", "x", id="too-many"),
        pytest.param("fp32", [Sent("x", "FP32", ONE, (-1, 1))], "invalid", "0 or more", id="negative-size"),
        pytest.param("fp32", [Sent("x", "FP32", ONE, (2**40, 2**40))], "invalid", "more elements", id="overflow"),
        pytest.param("fp32", [Sent("x", "FP32", ONE, (1,) * 33)], "invalid", "at most 32", id="dimensions"),
        pytest.param("fp32", [Sent("x", "FP32", np.ones((0, 4), "f4"))], "invalid", "0 rows", id="no-rows"),
        pytest.param("bytes", [Sent("x", "BYTES", TEXT, (1, 2))], "invalid", "x", id="strings-missing"),
    ],
)  # fmt: skip
def test_what_is_wrong(models: RuntimeProcess, way: Way, model: str, tensors: list[Sent], kind: str, says: str) -> None:
    answer = way.infer(models, model, tensors)
    assert isinstance(answer, Refused)
    assert (answer.kind, says in answer.message) == (kind, True), answer


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity"])
def test_a_number_that_json_has_not(models: RuntimeProcess, word: str) -> None:
    body = f'{{"inputs":[{{"name":"x","shape":[1,1],"datatype":"FP32","data":[{word}]}}]}}'
    answer = httpx.post(models.url + "/v2/models/fp32/infer", content=body)
    assert (answer.status_code, "not valid JSON" in answer.json()["error"]) == (400, True)
