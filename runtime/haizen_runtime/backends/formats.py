"""Which model formats there are, how their files are named, and which library and extra each needs. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Format:
    """A model format: the name used in an InferenceService's modelFormat and in --model_format."""

    name: str
    extensions: tuple[str, ...]
    """File name endings, lower case."""
    module: str
    """The backend's module, which has `load(path, options) -> Backend`."""
    library: str
    """The import name of the library it needs."""
    extra: str
    """The extra of this distribution that brings the library."""
    weak_extensions: tuple[str, ...] = ()
    """Endings that other files have too: looked at only when no file has one of `extensions`."""
    names: tuple[str, ...] = ()
    """Whole file names, lower case: such a file is the model, whatever lies beside it."""
    carries_code: bool = False
    """True when loading a file can run code that is in it."""


FORMATS: dict[str, Format] = {
    each.name: each
    for each in (
        Format(
            "sklearn", (".joblib", ".pkl", ".pickle"), "haizen_runtime.backends.sklearn", "sklearn", "sklearn",
            carries_code=True,
        ),
        Format(
            "xgboost", (".bst", ".ubj"), "haizen_runtime.backends.xgboost", "xgboost", "xgboost",
            weak_extensions=(".json",),
        ),
        Format(
            "lightgbm", (".bst",), "haizen_runtime.backends.lightgbm", "lightgbm", "lightgbm",
            weak_extensions=(".txt",),
        ),
        Format("onnx", (".onnx",), "haizen_runtime.backends.onnx", "onnxruntime", "onnx"),
        Format(
            "python", (), "haizen_runtime.backends.python", "msgpack", "runtime", names=("model.py",),
            carries_code=True,
        ),
    )
}  # fmt: skip
"""KServe's file names for each format; lightgbm's own text ending .txt and model.py come on top."""
