"""CatBoost models answer what CatBoost answers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import catboost
import httpx
import numpy as np
import pytest
from sklearn import datasets

from haizen_runtime.backends.loading import LoadOptions, load_backend
from haizen_runtime.protocol.errors import InvalidInput, ModelLoadFailed
from tests.frameworks.conftest import IMPORT_SECONDS

QUIET = {"iterations": 10, "verbose": 0, "thread_count": 1, "allow_writing_files": False}
DATA = {name: getattr(datasets, f"load_{name}")(return_X_y=True) for name in ("iris", "breast_cancer", "diabetes")}


def trained(directory: Path, kind: Any, data: str, **arguments: Any) -> Any:
    features, labels = DATA[data]
    model = kind(**QUIET, **arguments).fit(features, labels)
    model.save_model(str(directory / "model.cbm"))
    return model


@pytest.mark.parametrize(
    ("kind", "data", "arguments", "datatype"),
    [
        pytest.param(catboost.CatBoostClassifier, "iris", {}, "INT64", id="classes"),
        pytest.param(catboost.CatBoostClassifier, "breast_cancer", {}, "INT64", id="binary"),
        pytest.param(catboost.CatBoostRegressor, "diabetes", {}, "FP64", id="regression"),
        pytest.param(catboost.CatBoostRegressor, "diabetes", {"loss_function": "Poisson"}, "FP64", id="poisson"),
    ],
)
def test_answers(tmp_path: Path, kind: Any, data: str, arguments: dict[str, Any], datatype: str) -> None:
    model = trained(tmp_path, kind, data, **arguments)
    features = DATA[data][0]
    backend = load_backend(tmp_path, None, LoadOptions())
    answer = backend.execute({"x": features}, None)["output-0"]
    np.testing.assert_array_equal(answer, model.predict(features))
    (output,) = backend.metadata.outputs
    assert (output.datatype, output.shape) == (datatype, (-1, *answer.shape[1:]))


def test_probabilities(tmp_path: Path) -> None:
    model = trained(tmp_path, catboost.CatBoostClassifier, "iris")
    backend = load_backend(tmp_path, "catboost", LoadOptions(predict_proba=True))
    features = DATA["iris"][0]
    np.testing.assert_array_equal(backend.execute({"x": features}, None)["output-0"], model.predict_proba(features))


def test_string_labels_and_categories(tmp_path: Path) -> None:
    rows = [[1.0, "red", 3], [2.0, "blue", 4], [3.5, "red", 3], [0.5, "green", 4]] * 5
    labels = ["yes", "no", "yes", "no"] * 5
    model = catboost.CatBoostClassifier(**QUIET).fit(rows, labels, cat_features=[1, 2])
    model.save_model(str(tmp_path / "model.cbm"))
    backend = load_backend(tmp_path, None, LoadOptions())
    assert [tensor.datatype for tensor in backend.metadata.inputs] == ["FP64", "BYTES", "BYTES"]
    columns = {
        "0": np.array([row[0] for row in rows]),
        "1": np.array([str(row[1]).encode() for row in rows], dtype=object),
        "2": np.array([row[2] for row in rows]),
    }
    answer = backend.execute(columns, None)["output-0"]
    assert [label.decode() for label in answer] == list(model.predict(rows))


@pytest.mark.parametrize(
    ("matrix", "says"),
    [
        pytest.param(np.zeros((1, 3)), "3 columns; the model expects 4", id="too-few"),
        pytest.param(np.zeros((1, 2, 2)), "3 dimensions", id="cube"),
    ],
)
def test_refuses(tmp_path: Path, matrix: Any, says: str) -> None:
    trained(tmp_path, catboost.CatBoostClassifier, "iris")
    with pytest.raises(InvalidInput, match=says):
        load_backend(tmp_path, None, LoadOptions()).execute({"x": matrix}, None)


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(lambda content: b"", id="empty"),
        pytest.param(lambda content: b"\x00" * 100, id="zeros"),
        pytest.param(lambda content: content[:-500], id="cut-off"),
        pytest.param(lambda content: b"CBM1" + b"\xff" * 200, id="a-length-that-ends-the-process"),
        pytest.param(lambda content: content[:8] + b"\xff" * (len(content) - 8), id="noise"),
    ],
)
def test_a_broken_file(tmp_path: Path, broken: Callable[[bytes], bytes]) -> None:
    trained(tmp_path, catboost.CatBoostClassifier, "iris")
    model = tmp_path / "model.cbm"
    model.write_bytes(broken(model.read_bytes()))
    with pytest.raises(ModelLoadFailed, match=r"model\.cbm"):
        load_backend(tmp_path, None, LoadOptions())


def test_over_http(tmp_path: Path, start_runtime: Callable[..., Any]) -> None:
    model = trained(tmp_path, catboost.CatBoostRegressor, "diabetes")
    features = DATA["diabetes"][0][:20]
    runtime = start_runtime("--model_name=m", f"--model_dir={tmp_path}", "--model_format=catboost")
    runtime.wait_ready(IMPORT_SECONDS)
    answer = httpx.post(f"{runtime.url}/v1/models/m:predict", json={"instances": features.tolist()})
    assert answer.json() == {"predictions": model.predict(features).tolist()}
    assert httpx.post(f"{runtime.url}/v1/models/m:predict", json={"instances": [[1.0]]}).status_code == 400
