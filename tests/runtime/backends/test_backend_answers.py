"""Every backend answers exactly what its library answers, on scikit-learn's bundled data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn import datasets
from sklearn.cluster import KMeans
from sklearn.cross_decomposition import PLSRegression
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import (
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.multioutput import MultiOutputRegressor
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, PolynomialFeatures, StandardScaler
from sklearn.svm import SVC, SVR, LinearSVC
from sklearn.tree import DecisionTreeClassifier

from haizen_runtime.backends.loading import LoadOptions, load_backend
from haizen_runtime.protocol.dtypes import datatype_of
from haizen_runtime.protocol.errors import InvalidInput

TRUSTED = LoadOptions(allow_code=True)
DATA = {
    name: getattr(datasets, f"load_{name}")(return_X_y=True)
    for name in ("iris", "wine", "digits", "breast_cancer", "diabetes", "linnerud")
}


@pytest.mark.parametrize(
    ("data", "estimator"),
    [
        pytest.param("iris", LogisticRegression(max_iter=1000), id="iris-logistic"),
        pytest.param("iris", DecisionTreeClassifier(random_state=0), id="iris-tree"),
        pytest.param("digits", RandomForestClassifier(20, random_state=0), id="digits-forest"),
        pytest.param("breast_cancer", make_pipeline(StandardScaler(), LogisticRegression()), id="cancer-pipeline"),
        pytest.param("iris", KNeighborsClassifier(), id="iris-neighbors"),
        pytest.param("iris", KMeans(3, n_init=1, random_state=0), id="iris-clusters"),
        pytest.param("wine", GaussianNB(), id="wine-bayes"),
        pytest.param("wine", HistGradientBoostingClassifier(max_iter=10, random_state=0), id="wine-boosting"),
        pytest.param("wine", make_pipeline(StandardScaler(), PCA(3), LinearSVC(random_state=0)), id="wine-components"),
        pytest.param("breast_cancer", IsolationForest(n_estimators=20, random_state=0), id="cancer-outliers"),
        pytest.param("digits", make_pipeline(MinMaxScaler(), SVC()), id="digits-vectors"),
        pytest.param("digits", LinearDiscriminantAnalysis(), id="digits-discriminant"),
        pytest.param("diabetes", LinearRegression(), id="diabetes-linear"),
        pytest.param("diabetes", make_pipeline(PolynomialFeatures(2), Ridge()), id="diabetes-polynomial"),
        pytest.param("diabetes", SVR(), id="diabetes-vectors"),
        pytest.param("diabetes", GradientBoostingRegressor(n_estimators=10, random_state=0), id="diabetes-boosting"),
        pytest.param("linnerud", MultiOutputRegressor(Ridge()), id="linnerud-many-outputs"),
        pytest.param("linnerud", PLSRegression(2), id="linnerud-partial-squares"),
        pytest.param("diabetes", RandomForestRegressor(20, random_state=0), id="diabetes-forest"),
    ],
)
@pytest.mark.parametrize("ending", [".joblib", ".pkl"])
def test_sklearn(tmp_path: Path, data: str, estimator: Any, ending: str) -> None:
    features, labels = DATA[data]
    estimator.fit(features, labels)
    joblib.dump(estimator, tmp_path / f"model{ending}")
    backend = load_backend(tmp_path, None, TRUSTED)
    (expected,) = backend.metadata.inputs
    assert expected.shape == (-1, features.shape[1])
    answer = backend.execute({"anything": features}, None)
    own = estimator.predict(features)
    np.testing.assert_array_equal(answer["output-0"], own)
    assert answer["output-0"].dtype == own.dtype
    (output,) = backend.metadata.outputs
    assert (output.datatype, output.shape) == (datatype_of(own), (-1, *own.shape[1:]))


def test_sklearn_probabilities(tmp_path: Path) -> None:
    estimator = LogisticRegression(max_iter=1000).fit(*DATA["iris"])
    joblib.dump(estimator, tmp_path / "model.joblib")
    backend = load_backend(tmp_path, "sklearn", LoadOptions(allow_code=True, predict_proba=True))
    features = DATA["iris"][0]
    np.testing.assert_array_equal(backend.execute({"x": features}, None)["output-0"], estimator.predict_proba(features))
    assert backend.metadata.outputs[0].shape == (-1, 3)


def test_sklearn_string_labels_and_text_input(tmp_path: Path) -> None:
    texts = ["good fine nice", "bad awful", "nice good", "awful bad bad"]
    estimator = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(texts, ["up", "down", "up", "down"])
    joblib.dump(estimator, tmp_path / "model.joblib")
    backend = load_backend(tmp_path, None, TRUSTED)
    assert backend.metadata.inputs[0].datatype == "BYTES"
    answer = backend.execute({"x": np.array([text.encode() for text in texts], dtype=object)}, None)
    assert answer["output-0"].tolist() == [b"up", b"down", b"up", b"down"]


def test_sklearn_says_what_it_refuses(tmp_path: Path, iris_dir: Path) -> None:
    backend = load_backend(iris_dir, None, TRUSTED)
    with pytest.raises(InvalidInput, match="contains NaN"):
        backend.execute({"x": np.full((1, 4), np.nan)}, None)


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        pytest.param(["a", "b", "c", "d"], "", id="as-given"),
        pytest.param(["a", "b", "c"], "3 columns; the model expects 4", id="too-few"),
    ],
)
def test_named_inputs_are_columns(iris_dir: Path, iris_model: Any, columns: list[str], says: str) -> None:
    backend = load_backend(iris_dir, None, TRUSTED)
    features = DATA["iris"][0][:5]
    inputs = {name: features[:, index] for index, name in enumerate(columns)}
    if says:
        with pytest.raises(InvalidInput, match=says):
            backend.execute(inputs, None)
    else:
        np.testing.assert_array_equal(backend.execute(inputs, None)["output-0"], iris_model.predict(features))


@pytest.mark.parametrize("ending", [".bst", ".ubj", ".json"])
@pytest.mark.parametrize(
    ("data", "parameters"),
    [
        pytest.param("breast_cancer", {"objective": "binary:logistic"}, id="binary"),
        pytest.param("digits", {"objective": "multi:softprob", "num_class": 10}, id="classes"),
        pytest.param("wine", {"objective": "multi:softmax", "num_class": 3}, id="labels"),
        pytest.param("diabetes", {"objective": "reg:squarederror"}, id="regression"),
        pytest.param("diabetes", {"objective": "reg:squarederror", "booster": "gblinear"}, id="linear"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*(UBJSON|ubj|default format|gblinear).*")
def test_xgboost(tmp_path: Path, data: str, parameters: dict[str, Any], ending: str) -> None:
    import xgboost

    features, labels = DATA[data]
    booster = xgboost.train({**parameters, "nthread": 1}, xgboost.DMatrix(features, labels), num_boost_round=8)
    booster.save_model(str(tmp_path / f"model{ending}"))
    backend = load_backend(tmp_path, "xgboost", LoadOptions())
    answer = backend.execute({"x": features}, None)["output-0"]
    np.testing.assert_array_equal(answer, booster.predict(xgboost.DMatrix(features)))
    assert backend.metadata.outputs[0].shape == (-1, *answer.shape[1:])


@pytest.mark.parametrize("ending", [".bst", ".txt"])
@pytest.mark.parametrize(
    ("data", "parameters"),
    [
        pytest.param("breast_cancer", {"objective": "binary"}, id="binary"),
        pytest.param("iris", {"objective": "multiclass", "num_class": 3}, id="classes"),
        pytest.param("diabetes", {"objective": "regression"}, id="regression"),
        pytest.param("diabetes", {"objective": "quantile", "alpha": 0.9}, id="quantile"),
        pytest.param("wine", {"objective": "multiclassova", "num_class": 3, "boosting": "dart"}, id="dart"),
    ],
)
def test_lightgbm(tmp_path: Path, data: str, parameters: dict[str, Any], ending: str) -> None:
    import lightgbm

    features, labels = DATA[data]
    options = {**parameters, "verbosity": -1, "num_threads": 1}
    booster = lightgbm.train(options, lightgbm.Dataset(features, labels), num_boost_round=8)
    booster.save_model(str(tmp_path / f"model{ending}"))
    backend = load_backend(tmp_path, None, LoadOptions())
    assert backend.metadata.platform == "lightgbm"
    np.testing.assert_array_equal(backend.execute({"x": features}, None)["output-0"], booster.predict(features))


@pytest.mark.parametrize("zipmap", [pytest.param(False, id="tensor"), pytest.param(True, id="dictionaries")])
def test_onnx(tmp_path: Path, zipmap: bool) -> None:
    from skl2onnx import to_onnx

    features, labels = DATA["digits"]
    features = features.astype(np.float32)
    estimator = LogisticRegression(max_iter=200).fit(features / 16, labels)
    graph = to_onnx(estimator, features[:1], options={"zipmap": zipmap})
    (tmp_path / "model.onnx").write_bytes(graph.SerializeToString())
    backend = load_backend(tmp_path, None, LoadOptions())
    metadata = backend.metadata
    assert [(t.name, t.datatype, t.shape) for t in metadata.inputs] == [("X", "FP32", (-1, 64))]
    assert [t.name for t in metadata.outputs] == ["label", "probabilities"] or zipmap
    answer = backend.execute({"X": features / 16}, None)
    label, probabilities = answer.values()
    np.testing.assert_array_equal(label, estimator.predict(features / 16))
    np.testing.assert_allclose(probabilities, estimator.predict_proba(features / 16), atol=1e-5)
    assert list(backend.execute({"X": features[:2]}, [metadata.outputs[0].name])) == [metadata.outputs[0].name]
    assert backend.batchable


@pytest.mark.parametrize(
    ("data", "estimator", "tolerance"),
    [
        pytest.param("wine", RandomForestClassifier(20, random_state=0), 0, id="wine-forest"),
        pytest.param("breast_cancer", make_pipeline(StandardScaler(), LogisticRegression()), 0, id="cancer-pipeline"),
        pytest.param("diabetes", GradientBoostingRegressor(n_estimators=10, random_state=0), 1e-4, id="diabetes-trees"),
        pytest.param("diabetes", make_pipeline(StandardScaler(), Ridge()), 1e-4, id="diabetes-linear"),
    ],
)
def test_onnx_of_converted_estimators(tmp_path: Path, data: str, estimator: Any, tolerance: float) -> None:
    """As onnxruntime answers, exactly; and as scikit-learn does, within what float32 leaves of a regression."""
    import onnxruntime
    from skl2onnx import to_onnx

    features, labels = DATA[data]
    features = features.astype(np.float32)
    estimator.fit(features, labels)
    graph = to_onnx(estimator, features[:1]).SerializeToString()
    (tmp_path / "model.onnx").write_bytes(graph)
    backend = load_backend(tmp_path, None, LoadOptions())
    name = backend.metadata.outputs[0].name
    answer = backend.execute({"X": features}, [name])[name]
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    np.testing.assert_array_equal(answer, session.run([name], {"X": features})[0])
    np.testing.assert_allclose(answer.ravel(), estimator.predict(features), rtol=tolerance)
