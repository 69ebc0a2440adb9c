"""skops files: scikit-learn's own answers, and no type that skops does not trust without leave."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import skops.io
from sklearn import datasets
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from haizen_runtime.backends.loading import LoadOptions, load_backend
from haizen_runtime.protocol.errors import InvalidInput, ModelLoadFailed, UntrustedFormat

DATA = {name: getattr(datasets, f"load_{name}")(return_X_y=True) for name in ("iris", "breast_cancer", "diabetes")}


class Marks:
    """Building it makes a directory."""

    def __init__(self, marker: str) -> None:
        self.marker = marker

    def __getstate__(self) -> dict[str, str]:
        return {"marker": self.marker}

    def __setstate__(self, state: dict[str, str]) -> None:
        os.mkdir(state["marker"])


@pytest.mark.parametrize(
    ("data", "estimator", "allow_code"),
    [
        pytest.param("iris", LogisticRegression(max_iter=1000), False, id="iris-logistic"),
        pytest.param(
            "breast_cancer", make_pipeline(StandardScaler(), LogisticRegression()), False, id="cancer-pipeline"
        ),
        pytest.param("diabetes", LinearRegression(), False, id="diabetes-linear"),
        pytest.param("iris", DecisionTreeClassifier(random_state=0), True, id="iris-tree"),
        pytest.param("iris", RandomForestClassifier(5, random_state=0), True, id="iris-forest"),
    ],
)
@pytest.mark.parametrize("model_format", [None, "skops", "sklearn"])
def test_answers(tmp_path: Path, data: str, estimator: Any, allow_code: bool, model_format: str | None) -> None:
    features, labels = DATA[data]
    estimator.fit(features, labels)
    skops.io.dump(estimator, tmp_path / "model.skops")
    backend = load_backend(tmp_path, model_format, LoadOptions(allow_code=allow_code))
    answer = backend.execute({"x": features}, None)["output-0"]
    np.testing.assert_array_equal(answer, estimator.predict(features))


def test_trees_need_leave(tmp_path: Path) -> None:
    skops.io.dump(DecisionTreeClassifier().fit(*DATA["iris"]), tmp_path / "model.skops")
    with pytest.raises(UntrustedFormat, match=r"does not trust: sklearn\.tree\._tree\.Tree\. .*--allow_code"):
        load_backend(tmp_path, None, LoadOptions())


def test_an_untrusted_type_is_named_and_not_built(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    (tmp_path / "model").mkdir()
    skops.io.dump({"evil": Marks(str(marker))}, tmp_path / "model" / "model.skops")
    with pytest.raises(UntrustedFormat, match=rf"{__name__}\.Marks"):
        load_backend(tmp_path / "model", None, LoadOptions())
    assert not marker.exists()


def test_what_is_no_estimator(tmp_path: Path) -> None:
    skops.io.dump([1, 2], tmp_path / "model.skops")
    with pytest.raises(ModelLoadFailed, match="holds a list, which has no predict"):
        load_backend(tmp_path, None, LoadOptions())


def test_refuses_what_scikit_learn_refuses(tmp_path: Path) -> None:
    skops.io.dump(LogisticRegression(max_iter=1000).fit(*DATA["iris"]), tmp_path / "model.skops")
    backend = load_backend(tmp_path, None, LoadOptions())
    with pytest.raises(InvalidInput, match="contains NaN"):
        backend.execute({"x": np.full((1, 4), np.nan)}, None)


def test_over_http_without_allow_code(tmp_path: Path, start_runtime: Callable[..., Any]) -> None:
    features, labels = DATA["iris"]
    estimator = LogisticRegression(max_iter=1000).fit(features, labels)
    skops.io.dump(estimator, tmp_path / "model.skops")
    runtime = start_runtime("--model_name=m", f"--model_dir={tmp_path}", "--model_format=sklearn")
    runtime.wait_ready(limit_seconds=250)
    answer = httpx.post(f"{runtime.url}/v1/models/m:predict", json={"instances": features[::10].tolist()})
    assert answer.json() == {"predictions": estimator.predict(features[::10]).tolist()}
    assert httpx.post(f"{runtime.url}/v1/models/m:predict", json={"instances": [[1.0]]}).status_code == 400
