"""Which file is the model, what is refused before a library sees it, and what a broken file says."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from haizen_runtime.backends.files import find_model
from haizen_runtime.backends.formats import FORMATS, Format
from haizen_runtime.backends.loading import LoadOptions, import_backend, load_backend
from haizen_runtime.backends.onnx_files import check_external_data
from haizen_runtime.protocol.errors import (
    BackendMissing,
    InvalidConfiguration,
    ModelLoadFailed,
    StartError,
    UntrustedFormat,
)


def lay_out(root: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)


@pytest.mark.parametrize(
    ("files", "model_format", "expected"),
    [
        pytest.param(["model.joblib"], None, ("model.joblib", "sklearn"), id="joblib"),
        pytest.param(["MODEL.PKL"], None, ("MODEL.PKL", "sklearn"), id="upper-case"),
        pytest.param(["model.onnx", "weights.data", "README.md"], None, ("model.onnx", "onnx"), id="beside-others"),
        pytest.param(["iris/1/model.joblib"], None, ("iris/1/model.joblib", "sklearn"), id="subdirectory"),
        pytest.param(["model.ubj", "config.json"], None, ("model.ubj", "xgboost"), id="json-is-weak"),
        pytest.param(["model.json"], None, ("model.json", "xgboost"), id="json-alone"),
        pytest.param(["model.txt"], None, ("model.txt", "lightgbm"), id="lightgbm-text"),
        pytest.param(["model.bst"], None, ("model.bst", "xgboost"), id="bst-of-xgboost"),
        pytest.param(["model.bst"], "lightgbm", ("model.bst", "lightgbm"), id="format-decides"),
        pytest.param(["model.onnx", "model.joblib"], "onnx", ("model.onnx", "onnx"), id="format-chooses"),
        pytest.param([".hidden.joblib", "model.pickle"], None, ("model.pickle", "sklearn"), id="hidden-files"),
        pytest.param(["model.joblib"], "SKLearn", ("model.joblib", "sklearn"), id="format-in-any-case"),
        pytest.param(["model.skops"], None, ("model.skops", "skops"), id="skops"),
        pytest.param(["model.skops"], "sklearn", ("model.skops", "skops"), id="skops-is-sklearn"),
        pytest.param(["model.cbm"], None, ("model.cbm", "catboost"), id="catboost"),
        pytest.param(["model.pmml"], None, ("model.pmml", "pmml"), id="pmml"),
        pytest.param(["m.pdiparams", "m.json"], None, ("m.pdiparams", "paddle"), id="paddle-3"),
        pytest.param(["m.pdiparams", "m.pdmodel"], "paddle", ("m.pdiparams", "paddle"), id="paddle-2"),
        pytest.param(["m/MLmodel", "m/model.pkl"], None, ("m/MLmodel", "mlflow"), id="mlflow"),
        pytest.param(["MLmodel", "model.pkl"], "sklearn", ("model.pkl", "sklearn"), id="inside-of-mlflow"),
        pytest.param(["model.xml", "model.bin"], None, ("model.xml", "openvino"), id="openvino"),
        pytest.param(["model.pt", "net.py"], None, ("model.pt", "pytorch"), id="pytorch"),
        pytest.param(["model.pt", "model.py"], None, ("model.py", "python"), id="model.py-first"),
        pytest.param(["model.pt", "model.py"], "pytorch", ("model.pt", "pytorch"), id="model.py-of-pytorch"),
        pytest.param(["saved_model.pb", "assets/vocab.txt"], None, (".", "tensorflow"), id="directory"),
        pytest.param(["m/saved_model.pb", "README.md"], None, ("m", "tensorflow"), id="directory-below"),
        pytest.param(
            ["config.json", "model.safetensors", "vocab.txt", "onnx/model.onnx"],
            None,
            (".", "huggingface"),
            id="huggingface",
        ),
        pytest.param(["config.json", "pytorch_model.bin"], None, (".", "huggingface"), id="huggingface-pickle"),
        pytest.param(["2/saved_model.pb", "10/saved_model.pb"], None, ("10", "tensorflow"), id="highest-version"),
        pytest.param(["m/1/model.onnx", "m/3/model.onnx"], None, ("m/3/model.onnx", "onnx"), id="version-of-triton"),
    ],
)
def test_finds(tmp_path: Path, files: list[str], model_format: str | None, expected: tuple[str, str]) -> None:
    lay_out(tmp_path, dict.fromkeys(files, b"x"))
    path, kind = find_model(tmp_path, model_format)
    assert (str(path.relative_to(tmp_path)), kind.name) == expected
    assert find_model(path, model_format) == (path, kind)


def test_tells_lightgbm_from_xgboost_by_the_first_word(tmp_path: Path) -> None:
    lay_out(tmp_path, {"model.bst": b"tree\nversion=v4\n"})
    assert find_model(tmp_path, None)[1].name == "lightgbm"


@pytest.mark.parametrize(
    ("files", "model_format", "error", "says"),
    [
        pytest.param([], None, ModelLoadFailed, "No model file in .*: expected one file ending in .joblib", id="empty"),
        pytest.param(["a.joblib", "b.pkl"], None, ModelLoadFailed, "2 model files in .*: a.joblib, b.pkl", id="two"),
        pytest.param(["x/a.onnx", "y/a.onnx"], None, ModelLoadFailed, "2 model files", id="two-subdirectories"),
        pytest.param(["a.joblib"], "onnx", ModelLoadFailed, "expected one file ending in .onnx", id="other-format"),
        pytest.param(
            ["a.pb"], "tensorflow", ModelLoadFailed, "expected a directory with saved_model.pb", id="no-graph"
        ),
        pytest.param(["x/saved_model.pb", "y/saved_model.pb"], None, ModelLoadFailed, "2 model files", id="two-graphs"),
        pytest.param(
            ["config.json"], "huggingface", ModelLoadFailed, r"config.json and \*.safetensors", id="no-weights"
        ),
        pytest.param(
            ["a.joblib"], "sklern", InvalidConfiguration, "sklern is unknown; known formats: sklearn", id="typo"
        ),
    ],
)
def test_refuses(
    tmp_path: Path, files: list[str], model_format: str | None, error: type[StartError], says: str
) -> None:
    lay_out(tmp_path, dict.fromkeys(files, b"x"))
    with pytest.raises(error, match=says):
        find_model(tmp_path, model_format)


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ModelLoadFailed, match="does not exist"):
        find_model(tmp_path / "nowhere", None)


def test_code_needs_permission(iris_dir: Path) -> None:
    with pytest.raises(UntrustedFormat, match="--allow_code"):
        load_backend(iris_dir, None, LoadOptions())


@pytest.mark.parametrize(
    "name", ["model.joblib", "model.pkl", "model.skops", "model.ubj", "model.json", "model.txt", "model.onnx"]
)
@pytest.mark.parametrize(
    "content",
    [pytest.param(b"", id="empty"), pytest.param(b"\x00" * 100, id="zeros"), pytest.param(b"tree\nnonsense", id="text"),
     pytest.param(os.urandom(500), id="noise")],
)  # fmt: skip
def test_a_broken_file_is_a_clear_error(tmp_path: Path, name: str, content: bytes) -> None:
    lay_out(tmp_path, {name: content})
    with pytest.raises(ModelLoadFailed, match=name.replace(".", r"\.")):
        load_backend(tmp_path, None, LoadOptions(allow_code=True))


def test_a_missing_library_names_its_extra() -> None:
    missing = Format("exotic", (".x",), "no_such_library.backend", "no_such_library", "exotic-extra")
    with pytest.raises(BackendMissing, match=r"no_such_library.*pip install 'haizen\[exotic-extra\]'"):
        import_backend(missing)


def test_every_format_has_its_module() -> None:
    for kind in FORMATS.values():
        assert find_spec(kind.module) is not None, kind


@pytest.mark.parametrize(
    ("model_format", "files", "says"),
    [
        pytest.param("pytorch", ["model.pt"], r"package torch,.*'haizen\[torch\]'", id="pytorch"),
        pytest.param("tensorflow", ["saved_model.pb"], r"package tensorflow,.*'haizen\[tensorflow\]'", id="tensorflow"),
        pytest.param("openvino", ["model.xml"], r"package openvino,.*'haizen\[openvino\]'", id="openvino"),
        pytest.param("skops", ["model.skops"], r"package skops,.*'haizen\[skops\]'", id="skops"),
        pytest.param("catboost", ["model.cbm"], r"package catboost,.*'haizen\[catboost\]'", id="catboost"),
        pytest.param("pmml", ["model.pmml"], r"'haizen\[pmml\]'", id="pmml"),
        pytest.param("paddle", ["model.pdiparams"], r"package paddle,.*'haizen\[paddle\]'", id="paddle"),
        pytest.param("mlflow", ["MLmodel"], r"package mlflow,.*'haizen\[mlflow\]'", id="mlflow"),
        pytest.param("huggingface", ["config.json", "a.safetensors"],
                     r"package (torch|transformers),.*'haizen\[huggingface\]'", id="huggingface"),
    ],
)  # fmt: skip
def test_a_missing_framework_is_named_with_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model_format: str, files: list[str], says: str
) -> None:
    lay_out(tmp_path, dict.fromkeys(files, b"x"))
    kind = FORMATS[model_format]
    monkeypatch.delitem(sys.modules, kind.module, raising=False)
    monkeypatch.setitem(sys.modules, kind.library, None)  # as if it were not installed
    with pytest.raises(BackendMissing, match=says):
        load_backend(tmp_path, model_format, LoadOptions(allow_code=True))


def external_model(path: Path, location: str) -> None:
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    weight = numpy_helper.from_array(np.ones((2, 2), dtype=np.float32), "w")
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="offset", value="0")
    weight.external_data.add(key="location", value=location)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 2])],
        [weight],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    assert onnx.__name__


@pytest.mark.parametrize(
    ("location", "error", "says"),
    [
        pytest.param("../secret", UntrustedFormat, "outside its own directory", id="parent"),
        pytest.param("/etc/hostname", UntrustedFormat, "outside its own directory", id="absolute"),
        pytest.param("link.bin", UntrustedFormat, "is a link", id="link"),
        pytest.param("folder/inner.bin", UntrustedFormat, "is a link", id="link-on-the-way"),
        pytest.param("missing.bin", ModelLoadFailed, "not beside it", id="missing"),
    ],
)
def test_external_data_stays_inside(tmp_path: Path, location: str, error: type[StartError], says: str) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (tmp_path / "secret").write_bytes(b"0" * 16)
    (tmp_path / "inner.bin").write_bytes(b"0" * 16)
    (model / "link.bin").symlink_to(tmp_path / "secret")
    (model / "folder").symlink_to(tmp_path)
    external_model(model / "model.onnx", location)
    with pytest.raises(error, match=says):
        check_external_data(model / "model.onnx")


def test_external_data_beside_the_model_is_used(tmp_path: Path) -> None:
    import numpy as np

    (tmp_path / "weights.bin").write_bytes(np.full((2, 2), 3, dtype=np.float32).tobytes())
    external_model(tmp_path / "model.onnx", "weights.bin")
    backend = load_backend(tmp_path, None, LoadOptions())
    assert backend.execute({"x": np.ones((1, 2), dtype=np.float32)}, None)["y"].tolist() == [[6.0, 6.0]]
