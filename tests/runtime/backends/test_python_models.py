"""model.py as a format: when it is the model, and what loading it gives."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from haizen_runtime.backends.files import find_model
from haizen_runtime.backends.loading import LoadOptions, load_backend
from haizen_runtime.backends.python import PythonBackend
from haizen_runtime.protocol.errors import ModelLoadFailed, UntrustedFormat

CODE = """
from haizen_runtime import Model

class Code(Model):
    max_batch_size = 16

    async def predict(self, inputs):
        return {name: array + 1 for name, array in inputs.items()}
"""


@pytest.mark.parametrize(
    ("files", "model_format", "expected"),
    [
        pytest.param(["model.py"], None, ("model.py", "python"), id="alone"),
        pytest.param(["model.py", "model.joblib", "model.onnx"], None, ("model.py", "python"), id="before-weights"),
        pytest.param(["model.py", "model.joblib"], "sklearn", ("model.joblib", "sklearn"), id="format-decides"),
        pytest.param(["model.py", "helper.py"], "python", ("model.py", "python"), id="beside-helpers"),
        pytest.param(["helper.py", "model.onnx"], None, ("model.onnx", "onnx"), id="other-python-files"),
        pytest.param(["1/model.py", "1/weights.bin"], None, ("1/model.py", "python"), id="subdirectory"),
        pytest.param(["model.py"], "Python", ("model.py", "python"), id="format-in-any-case"),
    ],
)
def test_finds(tmp_path: Path, files: list[str], model_format: str | None, expected: tuple[str, str]) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    path, kind = find_model(tmp_path, model_format)
    assert (str(path.relative_to(tmp_path)), kind.name) == expected
    assert find_model(path, model_format) == (path, kind)


def test_a_directory_without_it_says_so(tmp_path: Path) -> None:
    (tmp_path / "helper.py").touch()
    with pytest.raises(ModelLoadFailed, match=r"No model file in .*: expected model\.py"):
        find_model(tmp_path, "python")
    with pytest.raises(ModelLoadFailed, match=r"expected one file ending in .*\.onnx.* or model\.py"):
        find_model(tmp_path, None)
    with pytest.raises(ModelLoadFailed, match=r"helper\.py is not a model file: expected model\.py"):
        find_model(tmp_path / "helper.py", "python")


def test_code_needs_permission(tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text("raise SystemExit")
    with pytest.raises(UntrustedFormat, match=r"model\.py is a python file, which can carry code.*--allow_code"):
        load_backend(tmp_path, None, LoadOptions())


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[PythonBackend]:
    (tmp_path / "model.py").write_text(CODE)
    backend = load_backend(tmp_path, None, LoadOptions(allow_code=True, workers=2))
    assert isinstance(backend, PythonBackend)
    try:
        yield backend
    finally:
        backend.close()


def test_the_class_says_what_runs_together(backend: PythonBackend) -> None:
    assert (backend.instances, backend.max_batch_rows, backend.batchable) == (2 * 32, 16, True)
    assert backend.metadata.platform == "python"
    assert backend.sample(1) is None
    result = backend.execute({"x": np.arange(3), "y": np.ones((2, 2), np.float16)}, ["y"])
    assert list(result) == ["y"]
    assert (result["y"].dtype, result["y"].tolist()) == (np.float16, [[2, 2], [2, 2]])


def test_the_memory_of_each_worker_is_known(backend: PythonBackend) -> None:
    usage = backend.workers()
    assert [each.index for each in usage] == [0, 1]
    assert len({each.pid for each in usage}) == 2
    assert all(5_000_000 < each.rss_bytes < 2_000_000_000 and each.restarts == 0 for each in usage)
