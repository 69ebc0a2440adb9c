"""MLflow's pyfunc models answer what MLflow answers, with a signature's names, and through its own server's bodies."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest
from sklearn import datasets
from sklearn.linear_model import LinearRegression
from sklearn.tree import DecisionTreeClassifier

from haizen_runtime.backends import mlflow as backend_module
from haizen_runtime.backends.loading import LoadOptions, load_backend
from haizen_runtime.protocol.errors import InferenceFailed, InvalidInput, ModelLoadFailed, UntrustedFormat

mlflow = backend_module.mlflow
TRUSTED = LoadOptions(allow_code=True)
FRAME, LABELS = datasets.load_iris(return_X_y=True, as_frame=True)
COLUMNS = {name: FRAME[name].to_numpy() for name in FRAME}


with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # MLflow would like type hints

    class Answers(mlflow.pyfunc.PythonModel):  # type: ignore[misc, name-defined]
        """Gives the input, what was asked for, or nothing that can be sent."""

        def __init__(self, answer: Any = None) -> None:
            self.answer = answer

        def predict(self, context: Any, model_input, params=None):  # type: ignore[no-untyped-def]
            return model_input if self.answer is None else self.answer


def save(directory: Path, model: Any, inputs: Any = None, outputs: Any = None) -> Path:
    from mlflow.models import infer_signature

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        signature = None if inputs is None else infer_signature(inputs, outputs)
        arguments = {"signature": signature, "pip_requirements": []}
        if isinstance(model, Answers):
            mlflow.pyfunc.save_model(str(directory), python_model=model, **arguments)
        else:
            mlflow.sklearn.save_model(model, str(directory), serialization_format="cloudpickle", **arguments)
    return directory


@pytest.fixture(scope="module")
def tree() -> Any:
    return DecisionTreeClassifier(random_state=0).fit(FRAME, LABELS)


@pytest.fixture(scope="module")
def tree_dir(tmp_path_factory: pytest.TempPathFactory, tree: Any) -> Path:
    return save(tmp_path_factory.mktemp("tree") / "model", tree, FRAME, tree.predict(FRAME))


def test_a_signature_of_columns(tree_dir: Path, tree: Any) -> None:
    backend = load_backend(tree_dir, None, TRUSTED)
    assert [(t.name, t.datatype, t.shape) for t in backend.metadata.inputs] == [(name, "FP64", (-1,)) for name in FRAME]
    assert [(t.name, t.datatype, t.shape) for t in backend.metadata.outputs] == [("output-0", "INT64", (-1,))]
    assert backend.batchable
    for inputs in (COLUMNS, {name: column.reshape(-1, 1) for name, column in reversed(COLUMNS.items())}):
        np.testing.assert_array_equal(backend.execute(inputs, None)["output-0"], tree.predict(FRAME))


@pytest.mark.parametrize(
    ("inputs", "says"),
    [
        pytest.param(dict(list(COLUMNS.items())[:3]), "missing inputs .*petal width", id="missing"),
        pytest.param({"input-0": FRAME.to_numpy()}, "expected a column", id="matrix"),
        pytest.param(
            {**COLUMNS, "petal width (cm)": np.array([b"x"] * 150, dtype=object)}, "safely convert", id="text"
        ),
        pytest.param({**COLUMNS, "petal width (cm)": COLUMNS["petal width (cm)"][:3]}, "same length", id="ragged"),
    ],
)
def test_what_does_not_fit_the_signature(tree_dir: Path, inputs: dict[str, Any], says: str) -> None:
    backend = load_backend(tree_dir, None, TRUSTED)
    with pytest.raises(InvalidInput, match=says):
        backend.execute(inputs, None)


def test_a_signature_of_a_tensor(tmp_path: Path) -> None:
    features, targets = datasets.load_diabetes(return_X_y=True)
    estimator = LinearRegression().fit(features, targets)
    backend = load_backend(save(tmp_path / "m", estimator, features, estimator.predict(features)), "mlflow", TRUSTED)
    assert [(t.name, t.datatype, t.shape) for t in backend.metadata.inputs] == [("input-0", "FP64", (-1, 10))]
    answer = backend.execute({"x": features}, None)["output-0"]
    np.testing.assert_array_equal(answer, estimator.predict(features))


def test_no_signature(tmp_path: Path, tree: Any) -> None:
    plain = DecisionTreeClassifier(random_state=0).fit(FRAME.to_numpy(), LABELS)
    backend = load_backend(save(tmp_path / "m", plain), None, TRUSTED)
    answer = backend.execute({"x": FRAME.to_numpy()}, None)["output-0"]
    np.testing.assert_array_equal(answer, tree.predict(FRAME))


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param(pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}), {"a": [1, 2], "b": [b"x", b"y"]}, id="frame"),
        pytest.param({"a": np.array([0.5]), "b": ["x"]}, {"a": [0.5], "b": [b"x"]}, id="dictionary"),
        pytest.param(pd.Series([1.5, 2.5]), {"output-0": [1.5, 2.5]}, id="series"),
        pytest.param(["é", "b"], {"output-0": ["é".encode(), b"b"]}, id="strings"),
        pytest.param([{"role": "x"}], {"output-0": [b'{"role":"x"}']}, id="objects"),
    ],
)
def test_forms_of_answers(tmp_path: Path, answer: Any, expected: dict[str, Any]) -> None:
    backend = load_backend(save(tmp_path / "m", Answers(answer)), None, TRUSTED)
    assert not backend.batchable
    got = backend.execute({"x": np.zeros((1, 1))}, None)
    assert {name: tensor.tolist() for name, tensor in got.items()} == expected
    last = list(expected)[-1]
    assert list(backend.execute({"x": np.zeros((1, 1))}, [last])) == [last]
    with pytest.raises(InvalidInput, match='"nothing" does not exist'):
        backend.execute({"x": np.zeros((1, 1))}, ["nothing"])


def test_an_answer_that_is_no_data(tmp_path: Path) -> None:
    backend = load_backend(save(tmp_path / "m", Answers({1, 2})), None, TRUSTED)
    with pytest.raises(InferenceFailed, match="answers a set"):
        backend.execute({"x": np.zeros((1, 1))}, None)


def test_code_needs_leave(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "loader.py").write_text(f"open({str(marker)!r}, 'w').close()\n")
    (tmp_path / "m" / "MLmodel").write_text("flavors: {python_function: {loader_module: loader, code: .}}\n")
    with pytest.raises(UntrustedFormat, match="--allow_code"):
        load_backend(tmp_path / "m", None, LoadOptions())
    assert not marker.exists()


@pytest.mark.parametrize("content", [b"", b"\x00" * 100, b"flavors: {}", b"- a list"])
def test_a_broken_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "MLmodel").write_bytes(content)
    with pytest.raises(ModelLoadFailed, match="MLmodel cannot be loaded as mlflow"):
        load_backend(tmp_path, None, TRUSTED)


def test_over_http_as_mlflows_own_server(tree_dir: Path, tree: Any, start_runtime: Callable[..., Any]) -> None:
    runtime = start_runtime("--model_name=m", f"--model_dir={tree_dir}", "--model_format=mlflow", "--allow_code")
    runtime.wait_ready(limit_seconds=250)
    frame = FRAME.iloc[::10]
    expected = tree.predict(frame).tolist()
    split = {"columns": list(frame), "data": frame.to_numpy().tolist()}
    records = [dict(zip(split["columns"], row, strict=True)) for row in split["data"]]
    for path, body in (
        ("/invocations", {"dataframe_split": split}),
        ("/invocations", {"dataframe_records": records}),
        ("/v1/models/m:predict", {"instances": records}),
    ):
        answer = httpx.post(runtime.url + path, json=body)
        assert answer.json() == {"predictions": expected}, (path, list(body))
    tensors = [
        {"name": name, "shape": [len(frame)], "datatype": "FP64", "data": frame[name].tolist()} for name in frame
    ]
    answer = httpx.post(f"{runtime.url}/v2/models/m/infer", json={"inputs": tensors})
    assert answer.json()["outputs"][0]["data"] == expected
    refused = httpx.post(f"{runtime.url}/v2/models/m/infer", json={"inputs": tensors[:2]})
    assert (refused.status_code, "missing inputs" in refused.json()["error"]) == (400, True)
