"""model.py as a format: when it is the model, and what loading it gives."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from haizen_runtime.backends.files import find_model
from haizen_runtime.backends.loading import LoadOptions, load_backend
from haizen_runtime.backends.python import PythonBackend
from haizen_runtime.engine.json_bodies import JSON_BODY, body_answer, body_request
from haizen_runtime.protocol.errors import InferenceFailed, InvalidInput, ModelLoadFailed, UntrustedFormat
from haizen_runtime.protocol.messages import InferenceResponse, Tensor

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


def test_a_class_may_take_v1_bodies_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text(
        """
import numpy as np
from haizen_runtime import Model

class Code(Model):
    takes_json = True
    max_batch_size = 16

    def predict(self, body):
        if "instances" not in body:
            return None
        if body["instances"] == ["set"]:
            return {"predictions": {1, 2}}
        if body["instances"] == ["object"]:
            return {"predictions": object()}
        return {"predictions": np.arange(2), "text": b"bytes", "seen": body}
"""
    )
    backend = load_backend(tmp_path, None, LoadOptions(allow_code=True))

    def answer(body: dict[str, Any]) -> Any:
        request = body_request(orjson.dumps(body), "code")
        result = backend.execute({tensor.name: tensor.data for tensor in request.inputs}, None)
        (name,) = result
        assert name == JSON_BODY
        written = body_answer(InferenceResponse("code", "1", [Tensor(name, "BYTES", (1,), result[name])]))
        assert written is not None
        return orjson.loads(written)

    try:
        assert (backend.takes_json, backend.batchable) == (True, False)
        body = {"instances": [{"image": {"b64": "AA=="}, "tags": [["a"], []]}], "parameters": {"k": 1}}
        assert answer(body) == {"predictions": [0, 1], "text": "bytes", "seen": body}
        assert answer({"instances": ["set"]}) == {"predictions": [1, 2]}
        with pytest.raises(InferenceFailed, match="cannot be written as JSON: Type is not JSON serializable: object"):
            answer({"instances": ["object"]})
        with pytest.raises(InferenceFailed, match="returned nothing"):
            answer({})
    finally:
        backend.close()


def test_a_body_that_is_no_object_is_refused_before_it_reaches_the_code() -> None:
    with pytest.raises(InvalidInput, match="must be a JSON object"):
        body_request(b"[1]", "code")
