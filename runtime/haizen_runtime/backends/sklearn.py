"""scikit-learn models stored by joblib or pickle."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import joblib
import numpy as np

from haizen_runtime.backends.columns import OUTPUT, as_matrix, first_line
from haizen_runtime.backends.texts import bytes_of, texts_of
from haizen_runtime.engine.backend import Backend
from haizen_runtime.protocol.dtypes import datatype_of
from haizen_runtime.protocol.errors import BackendMissing, InvalidInput, ModelLoadFailed
from haizen_runtime.protocol.messages import ModelMetadata, TensorMetadata

if TYPE_CHECKING:
    from haizen_runtime.backends.loading import LoadOptions
    from haizen_runtime.backends.sklearn_tables import TableInputs
    from haizen_runtime.engine.backend import Arrays

Array = np.ndarray[Any, Any]

CHEAP = frozenset({
    "LogisticRegression", "LinearRegression", "Ridge", "RidgeClassifier", "Lasso", "ElasticNet", "SGDClassifier",
    "SGDRegressor", "LinearSVC", "LinearSVR", "Perceptron", "PassiveAggressiveClassifier", "GaussianNB",
    "DecisionTreeClassifier", "DecisionTreeRegressor", "LinearDiscriminantAnalysis", "LogisticRegressionCV", "RidgeCV",
    "StandardScaler", "MinMaxScaler", "MaxAbsScaler", "RobustScaler",
})  # fmt: skip
"""Estimators whose predict is a product with a small matrix or a walk down one tree. Pipelines of these count too."""


class SklearnBackend(Backend):
    """A fitted estimator: predict, or predict_proba when KServe's PREDICT_PROBA asks for it."""

    def __init__(self, estimator: Any, options: LoadOptions) -> None:
        method = "predict_proba" if options.predict_proba else "predict"
        call = getattr(estimator, method, None)
        if call is None:
            raise ModelLoadFailed(f"The file holds a {type(estimator).__name__}, which has no {method}.")
        warnings.filterwarnings("ignore", message="X does not have valid feature names")
        self._call = call
        self._columns = [str(name) for name in getattr(estimator, "feature_names_in_", ())]
        self.cheap = _is_cheap(estimator)
        features = getattr(estimator, "n_features_in_", None)
        self._features = None if features is None else int(features)
        if features is None and _takes_text(estimator):
            self._input = TensorMetadata("input-0", "BYTES", (-1,))
        else:
            self._input = TensorMetadata("input-0", "FP64", (-1, -1 if features is None else int(features)))
        self._table = _table_inputs(estimator, call, self._columns)
        self.takes_anything = self._table is not None  # only the steps inside know what a column may hold
        self.metadata = ModelMetadata(
            platform="sklearn",
            inputs=(self._input,) if self._table is None else self._table.metadata,
            outputs=(self._output_metadata(estimator, options.predict_proba),),
            any_input_name=self._table is None,
            any_datatype=True,
        )

    def execute(self, inputs: Arrays, outputs: Sequence[str] | None) -> dict[str, Array]:
        """Predict; scikit-learn says ValueError or TypeError when the values are not what it takes."""
        data = self._matrix(inputs) if self._table is None else self._table.table(inputs)
        try:
            result = self._call(data)
        except (ValueError, TypeError) as error:
            raise InvalidInput(f"The model refused the input: {first_line(error)}") from error
        return {OUTPUT: result if result.dtype.kind in "iufb" else bytes_of(np.asarray(result))}

    def _matrix(self, inputs: Arrays) -> Array:
        matrix = next(iter(inputs.values())) if len(inputs) == 1 else as_matrix(inputs, self._columns, self._features)
        return texts_of(matrix) if matrix.dtype.kind == "O" else matrix

    def sample(self, rows: int) -> Arrays | None:
        """Zeros, or empty strings for text models. None for tables: their steps may refuse made-up values."""
        if self._table is not None:
            return None
        if self._input.datatype == "BYTES":
            return {"input-0": np.full((rows,), b"", dtype=object)}
        if self._input.shape[1] < 0:
            return None
        return {"input-0": np.zeros((rows, self._input.shape[1]))}

    def _output_metadata(self, estimator: Any, proba: bool) -> TensorMetadata:
        sample = self.sample(1)
        if sample is not None:
            try:
                result = self.execute(sample, None)[OUTPUT]
            except InvalidInput as error:
                raise ModelLoadFailed(f"The model is loaded and fails its first inference: {error.message}") from error
            return TensorMetadata(OUTPUT, datatype_of(result), (-1, *result.shape[1:]))
        classes = getattr(estimator, "classes_", None)
        if proba or not isinstance(classes, np.ndarray):
            return TensorMetadata(OUTPUT, "FP64", (-1, len(classes)) if proba and classes is not None else (-1,))
        return TensorMetadata(OUTPUT, datatype_of(classes), (-1,))


def load(path: Path, options: LoadOptions) -> SklearnBackend:
    """Load a .joblib, .pkl or .pickle file. The caller has checked that code is allowed."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        estimator = joblib.load(path)
    for warning in caught:
        if "InconsistentVersionWarning" in type(warning.message).__name__:
            import logging

            logging.getLogger("haizen_runtime").warning("%s: %s", path.name, str(warning.message).splitlines()[0])
            break
    return SklearnBackend(estimator, options)


def _table_inputs(estimator: Any, call: Callable[[Any], Any], columns: Sequence[str]) -> TableInputs | None:
    """What makes tables of requests, for an estimator that takes nothing else."""
    if not picks_columns_by_name(call, columns):
        return None
    try:
        from haizen_runtime.backends.sklearn_tables import TableInputs
    except ModuleNotFoundError as error:
        raise BackendMissing(
            "The model picks columns by their names, which needs the Python package pandas: "
            "pip install 'haizen[sklearn]'."
        ) from error
    return TableInputs(estimator, columns)


def picks_columns_by_name(call: Callable[[Any], Any], columns: Sequence[str]) -> bool:
    """Whether an estimator's method takes nothing but a table. scikit-learn knows that before it reads a value."""
    if not columns:
        return False
    try:
        call(np.zeros((1, len(columns))))
    except Exception as error:  # of whatever kind the zeros provoke
        return "only supported for dataframes" in str(error)
    return False


def _is_cheap(estimator: Any) -> bool:
    steps = getattr(estimator, "steps", None)
    if steps is not None:
        return all(_is_cheap(step) for _, step in steps)
    return type(estimator).__name__ in CHEAP and type(estimator).__module__.startswith("sklearn.")


def _takes_text(estimator: Any) -> bool:
    steps = getattr(estimator, "steps", None)
    first = steps[0][1] if steps else estimator
    return type(first).__module__.startswith("sklearn.feature_extraction.text")
