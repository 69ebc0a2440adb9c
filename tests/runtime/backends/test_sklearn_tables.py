"""scikit-learn models that pick columns by their names: fitted on a table, served from columns."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.datasets import load_wine
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from haizen_runtime.backends.loading import LoadOptions, load_backend
from haizen_runtime.engine.backend import Backend
from haizen_runtime.protocol.errors import BackendMissing, InvalidInput

NUMBERS = ["alcohol", "malic_acid", "flavanoids"]


def table() -> tuple[pd.DataFrame, Any]:
    """178 wines: three measures, a class of colour as text, and a note."""
    wine = load_wine(as_frame=True)
    frame = wine.data[NUMBERS].copy()
    frame["colour"] = np.where(wine.data["color_intensity"] > 5, "deep", "pale")
    frame["note"] = np.where(wine.data["hue"] > 1, "a blue red", "a brown red")
    return frame, wine.target


FRAME, CLASSES = table()


def by_name() -> ColumnTransformer:
    return ColumnTransformer([
        ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), NUMBERS),
        ("colour", OneHotEncoder(handle_unknown="error"), ["colour"]),
        ("note", TfidfVectorizer(), "note"),
    ])  # fmt: skip


def by_kind() -> ColumnTransformer:
    numbers = make_column_selector(dtype_include=np.number)
    return ColumnTransformer([("numbers", StandardScaler(), numbers)], remainder=OneHotEncoder())


MODELS = [
    pytest.param(lambda: make_pipeline(by_name(), LogisticRegression(max_iter=500)), id="classifier"),
    pytest.param(lambda: make_pipeline(by_name(), LinearRegression()), id="regressor"),
    pytest.param(lambda: make_pipeline(by_kind(), LogisticRegression(max_iter=500)), id="columns-by-kind"),
]


@pytest.fixture
def stored(tmp_path: Path) -> Callable[[Any], Path]:
    def store(estimator: Any) -> Path:
        folder = tmp_path / "model"
        folder.mkdir()
        joblib.dump(estimator.fit(FRAME, CLASSES), folder / "model.joblib")
        return folder

    return store


def load(folder: Path, predict_proba: bool = False) -> Backend:
    return load_backend(folder, None, LoadOptions(allow_code=True, predict_proba=predict_proba))


def columns(frame: pd.DataFrame) -> dict[str, Any]:
    """As a door decodes them: texts are bytes."""
    return {
        name: np.array([value.encode() for value in frame[name]], dtype=object)
        if frame[name].dtype.kind not in "iuf"
        else frame[name].to_numpy()
        for name in frame
    }


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(lambda inputs: inputs, id="in-order"),
        pytest.param(lambda inputs: dict(reversed(inputs.items())), id="any-order"),
        pytest.param(lambda inputs: {name: array.reshape(-1, 1) for name, array in inputs.items()}, id="n-by-1"),
    ],
)
def test_answers_are_the_librarys(stored: Any, model: Callable[[], Any], sent: Callable[[Any], Any]) -> None:
    estimator = model().fit(FRAME, CLASSES)
    answer = load(stored(estimator)).execute(sent(columns(FRAME)), None)["output-0"]
    assert answer.tolist() == estimator.predict(FRAME).tolist()


def test_probabilities(stored: Any) -> None:
    estimator = make_pipeline(by_name(), LogisticRegression(max_iter=500)).fit(FRAME, CLASSES)
    backend = load(stored(estimator), predict_proba=True)
    assert backend.metadata.outputs[0].shape == (-1, 3)
    assert backend.execute(columns(FRAME), None)["output-0"].tolist() == estimator.predict_proba(FRAME).tolist()


def test_the_metadata_names_the_columns(stored: Any) -> None:
    metadata = load(stored(make_pipeline(by_name(), LogisticRegression(max_iter=500)))).metadata
    assert [(each.name, each.datatype, each.shape) for each in metadata.inputs] == [
        *[(name, "FP64", (-1,)) for name in NUMBERS], ("colour", "BYTES", (-1,)), ("note", "BYTES", (-1,)),
    ]  # fmt: skip


def test_one_matrix_is_the_table_in_the_training_datas_order(tmp_path: Path) -> None:
    frame = FRAME[NUMBERS]
    scaled = ColumnTransformer([("scaled", StandardScaler(), NUMBERS[:2])], remainder="passthrough")
    estimator = make_pipeline(scaled, LinearRegression()).fit(frame, CLASSES)
    joblib.dump(estimator, tmp_path / "model.joblib")
    answer = load(tmp_path).execute({"x": frame.to_numpy()}, None)["output-0"]
    assert answer == pytest.approx(estimator.predict(frame), rel=1e-12)  # sums depend on how a table lies in memory


@pytest.mark.parametrize(
    ("change", "says"),
    [
        pytest.param({"colour": None}, "colour is missing", id="missing"),
        pytest.param({"more": np.zeros(178)}, "more is unknown", id="unknown"),
        pytest.param({"alcohol": np.zeros((178, 2))}, r'"alcohol" has shape \[178, 2\]', id="no-column"),
        pytest.param({"colour": np.array([b"green"] * 178, object)}, "The model refused the input", id="new-category"),
        pytest.param({"colour": np.array([b"\xff"] * 178, object)}, "not UTF-8", id="no-text"),
    ],
)
def test_what_is_no_such_table_is_refused(stored: Any, change: dict[str, Any], says: str) -> None:
    backend = load(stored(make_pipeline(by_name(), LogisticRegression(max_iter=500))))
    inputs = {name: array for name, array in {**columns(FRAME), **change}.items() if array is not None}
    with pytest.raises(InvalidInput, match=says):
        backend.execute(inputs, None)


def test_one_matrix_of_another_width_is_refused(stored: Any) -> None:
    backend = load(stored(make_pipeline(by_name(), LogisticRegression(max_iter=500))))
    with pytest.raises(InvalidInput, match=r"shape \[2, 4\]; the model takes the 5 columns alcohol, malic_acid"):
        backend.execute({"x": np.zeros((2, 4))}, None)


def test_a_table_model_without_pandas_says_what_is_missing(stored: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = stored(make_pipeline(by_name(), LogisticRegression(max_iter=500)))
    monkeypatch.setitem(sys.modules, "haizen_runtime.backends.sklearn_tables", None)  # as where its pandas is missing
    with pytest.raises(BackendMissing, match=r"needs the Python package pandas: pip install 'haizen\[sklearn\]'"):
        load(folder)


def test_instances_are_objects(stored: Any, start_runtime: Callable[..., Any]) -> None:
    estimator = make_pipeline(by_name(), LogisticRegression(max_iter=500)).fit(FRAME, CLASSES)
    runtime = start_runtime("--model_name=wine", f"--model_dir={stored(estimator)}", "--allow_code")
    runtime.wait_ready()
    body = json.dumps({"instances": FRAME.to_dict(orient="records")}).encode()
    with urllib.request.urlopen(f"{runtime.url}/v1/models/wine:predict", body, timeout=60) as answer:
        assert json.load(answer)["predictions"] == estimator.predict(FRAME).tolist()


MATRIX_MODEL = """
import pathlib, sys
from haizen_runtime.backends.loading import LoadOptions, load_backend
backend = load_backend(pathlib.Path(sys.argv[1]), None, LoadOptions(allow_code=True))
backend.execute(backend.sample(1), None)
print("pandas" in sys.modules)
"""


def test_a_model_of_matrices_does_not_import_pandas(tmp_path: Path) -> None:
    joblib.dump(LogisticRegression(max_iter=500).fit(FRAME[NUMBERS].to_numpy(), CLASSES), tmp_path / "model.joblib")
    command = [sys.executable, "-c", MATRIX_MODEL, str(tmp_path)]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout == "False\n"
