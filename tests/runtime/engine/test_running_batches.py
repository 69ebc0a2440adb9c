"""Merging, splitting and isolating requests; the cost line of the warm-up; the registry."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from haizen_runtime.engine.backend import Backend
from haizen_runtime.engine.batches import run_batch
from haizen_runtime.engine.cpus import usable_cpus
from haizen_runtime.engine.keys import batch_key
from haizen_runtime.engine.metrics import Histogram
from haizen_runtime.engine.model import Model, State
from haizen_runtime.engine.registry import ModelRegistry
from haizen_runtime.engine.scheduling_settings import SchedulingSettings
from haizen_runtime.engine.validation import validate
from haizen_runtime.engine.warmup import predicted_rows, warm_up
from haizen_runtime.protocol.errors import (
    ClientGone,
    DeadlineExceeded,
    InferenceFailed,
    InvalidInput,
    ModelLoadFailed,
    ModelNotFound,
    ModelNotReady,
    RequestError,
    VersionNotFound,
)
from haizen_runtime.protocol.messages import (
    InferenceRequest,
    InferenceResponse,
    ModelMetadata,
    RequestedOutput,
    Tensor,
    TensorMetadata,
)


class Doubler(Backend):
    """Doubles; fails on any batch that holds a negative number, as a library does for a value it cannot take."""

    cheap = True
    metadata = ModelMetadata("test", (TensorMetadata("x", "FP64", (-1, 2)),), (TensorMetadata("y", "FP64", (-1, 2)),))

    def execute(self, inputs: Any, outputs: Sequence[str] | None) -> dict[str, Any]:
        if (inputs["x"] < 0).any():
            raise FloatingPointError("negative\nsecond line")
        return {"y": inputs["x"] * 2}

    def sample(self, rows: int) -> Any:
        return {"x": np.zeros((rows, 2))}


class Shrinking(Doubler):
    """Answers one row for whatever it is given."""

    def execute(self, inputs: Any, outputs: Sequence[str] | None) -> dict[str, Any]:
        return {"y": inputs["x"][:1] * 2}


def request(rows: Any, name: str = "x") -> InferenceRequest:
    array = np.asarray(rows, dtype=np.float64)
    return InferenceRequest("m", [Tensor(name, "FP64", array.shape, array)], id=str(array.sum()))


@given(st.lists(st.integers(1, 4), min_size=1, max_size=8))
def test_each_request_gets_its_own_rows(sizes: list[int]) -> None:
    rng = np.random.default_rng(0)
    requests = [request(rng.random((size, 2))) for size in sizes]
    for one, answer in zip(requests, run_batch(Doubler(), requests, "1"), strict=True):
        assert isinstance(answer, InferenceResponse)
        assert answer.id == one.id
        assert answer.outputs[0].shape == one.inputs[0].shape
        np.testing.assert_array_equal(answer.outputs[0].data, one.inputs[0].data * 2)


def test_one_bad_request_fails_alone() -> None:
    results = run_batch(Doubler(), [request([[1, 1]]), request([[-1, 1]]), request([[2, 2]])], "1")
    assert isinstance(results[1], InferenceFailed)
    assert results[1].message == "The model failed: FloatingPointError: negative"
    good = [results[0], results[2]]
    assert [each.outputs[0].data.tolist() for each in good if isinstance(each, InferenceResponse)] == [
        [[2, 2]],
        [[4, 4]],
    ]


@pytest.mark.parametrize("kind", [ModelNotReady, DeadlineExceeded, ClientGone])
def test_what_befell_the_whole_batch_is_not_tried_again(kind: type[RequestError]) -> None:
    class Failing(Doubler):
        calls = 0

        def execute(self, inputs: Any, outputs: Sequence[str] | None) -> dict[str, Any]:
            self.calls += 1
            raise kind("of all")

    backend = Failing()
    results = run_batch(backend, [request([[1, 1]]), request([[2, 2]])], "1")
    assert [type(each) for each in results] == [kind, kind]
    assert backend.calls == 1


def test_a_model_that_cannot_batch_answers_one_by_one() -> None:
    results = run_batch(Shrinking(), [request([[1, 1]]), request([[2, 2]])], "1")
    assert [r.outputs[0].data.tolist() for r in results if isinstance(r, InferenceResponse)] == [[[2, 2]], [[4, 4]]]


@pytest.mark.parametrize(
    ("other", "same"),
    [
        pytest.param(request([[1, 2], [3, 4]]), True, id="other-rows"),
        pytest.param(request([[1, 2, 3]]), False, id="other-width"),
        pytest.param(request([[1, 2]], "z"), False, id="other-name"),
        pytest.param(
            InferenceRequest("m", [Tensor("x", "FP32", (1, 2), np.zeros((1, 2)))]), False, id="other-datatype"
        ),
        pytest.param(
            InferenceRequest("m", request([[1, 2]]).inputs, outputs=[RequestedOutput("y")]), False, id="other-outputs"
        ),
    ],
)
def test_what_may_share_a_batch(other: InferenceRequest, same: bool) -> None:
    assert (batch_key(request([[1, 2]])) == batch_key(other)) is same


TWO = ModelMetadata(
    "onnx", (TensorMetadata("a", "FP32", (-1, 2)), TensorMetadata("b", "INT64", (-1,))),
    (TensorMetadata("y", "FP32", (-1,)),),
)  # fmt: skip


def named(**shapes: tuple[str, tuple[int, ...]]) -> InferenceRequest:
    return InferenceRequest("m", [Tensor(n, d, s, np.zeros(s)) for n, (d, s) in shapes.items()])


@pytest.mark.parametrize(
    ("given_request", "says"),
    [
        pytest.param(named(a=("FP32", (1, 2))), 'Input "b" is missing; the model takes a, b', id="missing"),
        pytest.param(named(a=("FP32", (1, 2)), c=("INT64", (1,))), 'Input "c" does not exist', id="unknown"),
        pytest.param(named(a=("FP64", (1, 2)), b=("INT64", (1,))), 'datatype FP64; the model expects FP32', id="type"),
        pytest.param(named(a=("FP32", (1, 3)), b=("INT64", (1,))), r"the model expects \[-1, 2\]", id="shape"),
        pytest.param(named(a=("FP32", (2,)), b=("INT64", (1,))), r"shape \[2\]; the model expects", id="rank"),
        pytest.param(named(a=("FP32", (2, 2)), b=("INT64", (1,))), '"a" has 2 rows', id="rows-differ"),
        pytest.param(named(a=("FP32", (0, 2)), b=("INT64", (0,))), "0 rows", id="no-rows"),
    ],
)  # fmt: skip
def test_validation_names_the_input(given_request: InferenceRequest, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        validate(given_request, TWO, batchable=True)


def test_validation_of_outputs() -> None:
    good = named(a=("FP32", (1, 2)), b=("INT64", (1,)))
    validate(good, TWO, batchable=True)
    good.outputs = [RequestedOutput("z")]
    with pytest.raises(InvalidInput, match='Output "z" does not exist; the model has y'):
        validate(good, TWO, batchable=True)


@pytest.mark.parametrize(
    ("one", "many", "expected"),
    [
        pytest.param(0.0001, 0.0002, 100, id="all-fit"),
        pytest.param(0.0006, 0.0010, 0, id="one-row-is-too-slow"),
        pytest.param(0.0001, 0.0100, 5, id="some-fit"),
    ],
)
def test_predicted_rows(one: float, many: float, expected: int) -> None:
    assert predicted_rows(one, many, 100, 0.0005) == expected


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        pytest.param(SchedulingSettings(place="thread"), 0, id="thread"),
        pytest.param(SchedulingSettings(place="loop", max_batch_rows=7), 7, id="loop"),
        pytest.param(SchedulingSettings(max_batch_rows=1), 1, id="cheap-without-batching"),
    ],
)
def test_where_batches_run(settings: SchedulingSettings, expected: int) -> None:
    assert warm_up(Doubler(), settings, 1.0) == expected


def test_models_that_are_not_listed_never_run_on_the_loop() -> None:
    backend = Doubler()
    backend.cheap = False
    assert warm_up(backend, SchedulingSettings(), 1.0) == 0


async def test_life_of_a_model() -> None:
    model = Model("m", "1", Doubler)
    assert model.state is State.UNLOADED
    with pytest.raises(ModelNotReady, match="unloaded"):
        await model.infer(request([[1, 1]]))
    model.load()
    assert model.state is State.LOADING
    model.start()
    assert model.ready
    answer = await model.infer(request([[1, 1]]))
    assert answer.outputs[0].data.tolist() == [[2, 2]]
    model.unload()
    with pytest.raises(ModelNotReady):
        await model.infer(request([[1, 1]]))


async def test_a_model_whose_load_fails_says_why() -> None:
    def broken() -> Backend:
        raise EOFError("the file ends")

    model = Model("m", "1", broken)
    with pytest.raises(ModelLoadFailed, match="Model m cannot be loaded: EOFError: the file ends"):
        model.load()
    assert model.state is State.FAILED
    with pytest.raises(ModelNotReady, match="the file ends"):
        await model.infer(request([[1, 1]]))


def test_registry_finds_the_highest_version() -> None:
    registry = ModelRegistry()
    for version in ("2", "10", "1"):
        registry.add(Model("m", version, Doubler))
    assert registry.get("m").version == "10"
    assert registry.get("m", "2").version == "2"
    assert registry.versions("m") == ["1", "2", "10"]
    registry.remove(registry.get("m", "10"))
    assert registry.get("m").version == "2"
    with pytest.raises(VersionNotFound, match="the versions it has: 1, 2"):
        registry.get("m", "10")
    with pytest.raises(ModelNotFound, match="Model with name other does not exist"):
        registry.get("other")


def test_histogram_counts_into_buckets() -> None:
    histogram = Histogram((1, 2))
    for value in (0.5, 1, 1.5, 9):
        histogram.observe(value)
    assert histogram.cumulative() == [("1.0", 2), ("2.0", 3), ("+Inf", 4)]
    assert histogram.total == 12
    assert (histogram + histogram).cumulative() == [("1.0", 4), ("2.0", 6), ("+Inf", 8)]


@pytest.mark.parametrize(
    ("text", "most"),
    [pytest.param("150000 100000", 2, id="quota"), pytest.param("1000 100000", 1, id="sliver"),
     pytest.param("max 100000", 10**6, id="no-quota"), pytest.param("nonsense", 10**6, id="unreadable")],
)  # fmt: skip
def test_cpus_of_a_container(tmp_path: Path, text: str, most: int) -> None:
    quota = tmp_path / "cpu.max"
    quota.write_text(text)
    assert 1 <= usable_cpus(quota) <= most
