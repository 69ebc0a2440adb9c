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
    directories: tuple[tuple[str, ...], ...] = ()
    """Patterns of file names, lower case: a directory with files for all patterns of one group is the model."""
    carries_code: bool = False
    """True when loading a file can run code that is in it."""
    also: tuple[str, ...] = ()
    """Other formats whose files go by this name, too: who says sklearn may have stored it with skops."""


FORMATS: dict[str, Format] = {
    each.name: each
    for each in (
        Format(
            "sklearn", (".joblib", ".pkl", ".pickle"), "haizen_runtime.backends.sklearn", "sklearn", "sklearn",
            carries_code=True, also=("skops",),
        ),
        Format(
            "xgboost", (".bst", ".ubj"), "haizen_runtime.backends.xgboost", "xgboost", "xgboost",
            weak_extensions=(".json",),
        ),
        Format(
            "lightgbm", (".bst",), "haizen_runtime.backends.lightgbm", "lightgbm", "lightgbm",
            weak_extensions=(".txt",),
        ),
        Format("skops", (".skops",), "haizen_runtime.backends.skops", "skops", "skops"),
        Format("catboost", (".cbm",), "haizen_runtime.backends.catboost", "catboost", "catboost"),
        Format("pmml", (".pmml",), "haizen_runtime.backends.pmml", "pypmml", "pmml"),
        Format("paddle", (".pdiparams",), "haizen_runtime.backends.paddle", "paddle", "paddle"),
        Format(
            "mlflow", (), "haizen_runtime.backends.mlflow", "mlflow", "mlflow", names=("mlmodel",),
            carries_code=True,
        ),
        Format("onnx", (".onnx",), "haizen_runtime.backends.onnx", "onnxruntime", "onnx"),
        # TorchScript and exported programs name any operator of PyTorch, and those write files.
        Format(
            "pytorch", (".pt", ".pth", ".jit", ".pt2"), "haizen_runtime.backends.pytorch", "torch", "torch",
            carries_code=True,
        ),
        # Graphs may read and write files.
        Format(
            "tensorflow", (), "haizen_runtime.backends.tensorflow", "tensorflow", "tensorflow",
            directories=(("saved_model.pb",),), carries_code=True,
        ),
        Format("openvino", (".xml",), "haizen_runtime.backends.openvino", "openvino", "openvino"),
        Format(
            "huggingface", (), "haizen_runtime.backends.huggingface", "transformers", "huggingface",
            directories=(("config.json", "*.safetensors"), ("config.json", "pytorch_model*.bin")),
        ),
        Format(
            "python", (), "haizen_runtime.backends.python", "msgpack", "runtime", names=("model.py",),
            carries_code=True,
        ),
    )
}  # fmt: skip
"""KServe's file names for each format; lightgbm's own text ending .txt, model.py and the .pt2 of today come on top."""
