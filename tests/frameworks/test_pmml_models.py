"""PMML models answer what the scikit-learn models answer that they were written from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import jpype
import numpy as np
import pytest
from sklearn import datasets
from sklearn.linear_model import LinearRegression
from sklearn.tree import DecisionTreeClassifier

from haizen_runtime.backends import pmml
from haizen_runtime.backends.loading import LoadOptions, load_backend
from haizen_runtime.protocol.errors import BackendMissing, InvalidInput, ModelLoadFailed, UntrustedFormat
from tests.frameworks.conftest import IMPORT_SECONDS
from tests.frameworks.pmml_files import colour_pmml, linear_pmml, tree_pmml

NAMES = ["a", "b", "c", "d"]
IRIS, LABELS = datasets.load_iris(return_X_y=True)


@pytest.fixture(scope="module")
def tree() -> Any:
    return DecisionTreeClassifier(random_state=0).fit(IRIS, LABELS)


@pytest.fixture
def tree_dir(tmp_path: Path, tree: Any) -> Path:
    (tmp_path / "model.pmml").write_text(tree_pmml(tree, NAMES))
    return tmp_path


@pytest.mark.parametrize("named", [False, True])
def test_a_tree(tree_dir: Path, tree: Any, named: bool) -> None:
    backend = load_backend(tree_dir, None, LoadOptions())
    assert [(t.name, t.datatype, t.shape) for t in backend.metadata.inputs] == [("input-0", "FP64", (-1, 4))]
    names = ["label", "probability_0", "probability_1", "probability_2"]
    assert [t.name for t in backend.metadata.outputs] == names
    inputs = {name: IRIS[:, index] for index, name in reversed(list(enumerate(NAMES)))} if named else {"x": IRIS}
    label, *probabilities = backend.execute(inputs, None).values()
    np.testing.assert_array_equal(label, tree.predict(IRIS))
    np.testing.assert_array_equal(np.stack(probabilities, axis=1), tree.predict_proba(IRIS))
    assert list(backend.execute({"x": IRIS[:2]}, ["label"])) == ["label"]


def test_a_line(tmp_path: Path) -> None:
    features, targets = datasets.load_diabetes(return_X_y=True)
    model = LinearRegression().fit(features, targets)
    (tmp_path / "model.pmml").write_text(linear_pmml(model, [f"x{index}" for index in range(10)]))
    answer = load_backend(tmp_path, "pmml", LoadOptions()).execute({"x": features}, None)["predicted_y"]
    np.testing.assert_allclose(answer, model.predict(features), rtol=1e-12)  # a sum in another order


def test_strings(tmp_path: Path) -> None:
    (tmp_path / "model.pmml").write_text(colour_pmml())
    backend = load_backend(tmp_path, None, LoadOptions())
    assert {(t.name, t.datatype) for t in backend.metadata.inputs} == {("colour", "BYTES"), ("size", "FP64")}
    inputs = {"size": np.array([1.0, 2.0]), "colour": np.array([b"red", b"blue"], dtype=object)}
    assert backend.execute(inputs, ["predicted_y"])["predicted_y"].tolist() == [1, 0]


@pytest.mark.parametrize(
    ("inputs", "says"),
    [
        pytest.param({"x": np.zeros((1, 3))}, "3 columns; the model expects 4", id="too-few"),
        pytest.param({name: np.zeros(1) for name in "abcz"}, "d is missing", id="unknown"),
        pytest.param({"x": np.zeros((1, 2, 2))}, "3 dimensions", id="cube"),
    ],
)
def test_refuses(tree_dir: Path, inputs: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        load_backend(tree_dir, None, LoadOptions()).execute(inputs, None)


@pytest.mark.parametrize("content", [b"", b"\x00" * 100, b"nonsense", b"<PMML/>", b"<html/>", b'<PMML version="4.4"'])
def test_a_broken_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.pmml").write_bytes(content)
    with pytest.raises(ModelLoadFailed, match=r"model\.pmml"):
        load_backend(tmp_path, None, LoadOptions())


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_document_type_is_refused(tmp_path: Path, encoding: str) -> None:
    text = '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/hostname">]><PMML version="4.4">&e;</PMML>'
    (tmp_path / "model.pmml").write_bytes(text.encode(encoding))
    with pytest.raises(UntrustedFormat, match="DOCTYPE"):
        load_backend(tmp_path, None, LoadOptions())


def test_no_java(tree_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: Any, **__: Any) -> None:
        raise jpype.JVMNotFoundException("none")

    monkeypatch.setattr(pmml.pypmml.PMMLContext, "getOrCreate", missing)
    with pytest.raises(BackendMissing, match=r"needs Java 8 or newer.*JAVA_HOME"):
        load_backend(tree_dir, None, LoadOptions())


def test_over_http_and_an_end_in_good_order(tree_dir: Path, tree: Any, start_runtime: Callable[..., Any]) -> None:
    runtime = start_runtime(
        "--model_name=m", f"--model_dir={tree_dir}", "--model_format=pmml", "--drain_quiet_seconds=0.1"
    )
    runtime.wait_ready(IMPORT_SECONDS)
    answer = httpx.post(f"{runtime.url}/v1/models/m:predict", json={"instances": IRIS[::10].tolist()})
    assert [row["label"] for row in answer.json()["predictions"]] == tree.predict(IRIS[::10]).tolist()
    assert httpx.post(f"{runtime.url}/v1/models/m:predict", json={"instances": [[1.0]]}).status_code == 400
    runtime.terminate()
    assert runtime.wait_exit() == 0, runtime.log
