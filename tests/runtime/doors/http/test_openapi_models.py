"""/openapi.json has each loaded model's own paths: examples that the model answers, and schemas that they fit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import numpy as np
import pytest

PROGRAM_ARGUMENTS = ("--host=127.0.0.1", "--http_port=0", "--enable_docs_url", "--model_control_mode=explicit")

PYTHON = """
from haizen_runtime import Model

class Code(Model):
    {predict}

    def explain(self, inputs):
        return [1]

    def get_input_types(self):
        return [{{"name": "words", "datatype": "BYTES", "shape": [-1, 2]}},
                {{"name": "count", "datatype": "INT32", "shape": [1]}}]
"""
PREDICT = {
    "python": "def predict(self, inputs): return list(inputs)",
    "stream": "def predict(self, inputs): yield from [[1], [2]]",
}


def operations(url: str) -> dict[str, Any]:
    """Each model path's body: schema and example."""
    document = httpx.get(f"{url}/openapi.json", timeout=60).json()
    schemas = {"components": document["components"]}
    return {
        path: {**operation["post"]["requestBody"]["content"]["application/json"], **schemas}
        for path, operation in document["paths"].items()
        if "{" not in path and "post" in operation and path.startswith(("/v1/models/", "/v2/models/"))
    }


def check(url: str) -> list[str]:
    """Post every example; returns the paths that have one."""
    found = {path: body for path, body in operations(url).items() if "example" in body}
    for path, body in found.items():
        jsonschema.validate(body["example"], {**body["schema"], "components": body["components"]})
        answer = httpx.post(url + path, json=body["example"], timeout=60)
        assert answer.status_code == 200, (path, answer.text)
    return sorted(found)


@pytest.fixture
def serve_folder(tmp_path: Path, start_program: Callable[..., Any]) -> Callable[..., str]:
    """Every folder in a folder, with the documentation on."""
    from tests.runtime.doors.grpc.conftest import PROGRAM

    def serve() -> str:
        program = PROGRAM.replace(
            "LoadOptions(allow_code=True)", "LoadOptions(allow_code=True, worker_timeout_seconds=60)"
        )
        runtime = start_program("-c", program, str(tmp_path), *PROGRAM_ARGUMENTS)
        runtime.wait_ready()
        url: str = runtime.url
        return url

    return serve


def save_onnx(folder: Path, datatypes: dict[str, str], shape: list[Any]) -> None:
    import onnx

    from haizen_runtime.protocol.dtypes import NUMPY_OF

    def info(name: str, datatype: str) -> Any:
        dtype = np.dtype(object) if datatype == "BYTES" else NUMPY_OF[datatype]
        return onnx.helper.make_tensor_value_info(name, onnx.helper.np_dtype_to_tensor_dtype(dtype), shape)

    nodes = [onnx.helper.make_node("Identity", [name], [f"{name}_out"]) for name in datatypes]
    inputs = [info(name, datatype) for name, datatype in datatypes.items()]
    outputs = [info(f"{name}_out", datatype) for name, datatype in datatypes.items()]
    graph = onnx.helper.make_graph(nodes, "identity", inputs, outputs)
    folder.mkdir()
    onnx.save(
        onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8),
        folder / "model.onnx",
    )


def test_every_example_is_answered_and_the_paths_follow_the_models(
    tmp_path: Path, iris_dir: Path, serve_folder: Callable[..., str]
) -> None:
    (tmp_path / "iris").symlink_to(iris_dir)
    save_onnx(tmp_path / "flat", {"a": "FP32"}, ["rows"])
    save_onnx(tmp_path / "columns", {"a": "FP32", "b": "BYTES"}, ["rows"])
    save_onnx(tmp_path / "several", {"a": "FP32", "b": "BYTES", "c": "BOOL"}, ["rows", 3])
    save_onnx(tmp_path / "fixed", {"a": "INT8", "b": "UINT64"}, [2, 2])
    for name, predict in PREDICT.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.py").write_text(PYTHON.format(predict=predict))
    url = serve_folder()
    native = [
        path
        for name in ("columns", "fixed", "flat", "iris", "python", "several")
        for path in (f"/v1/models/{name}:predict", f"/v2/models/{name}/infer")
    ]
    generate = [
        f"/v2/models/{name}/{verb}"
        for name in ("columns", "fixed", "flat", "iris", "python", "several", "stream")
        for verb in ("generate", "generate_stream")
        if (name, verb) != ("stream", "generate")  # takes exactly one answer, and this model gives two
    ]
    assert check(url) == sorted([*native, *generate, "/v1/models/python:explain"])
    assert httpx.post(f"{url}/v2/repository/models/iris/unload").status_code == 200
    assert not [path for path in operations(url) if "iris" in path]
    assert httpx.post(f"{url}/v2/repository/models/iris/load", timeout=60).status_code == 200
    rows = operations(url)["/v1/models/iris:predict"]
    assert rows["example"] == {"instances": [[0.0, 0.0, 0.0, 0.0]]}


def test_halves_have_no_example_where_json_cannot_carry_them() -> None:
    from haizen_runtime.doors.http.openapi_models import DescribedModel, paths_of
    from haizen_runtime.protocol.messages import ModelMetadata, TensorMetadata

    metadata = ModelMetadata("onnx", (TensorMetadata("x", "FP16", (-1, 2)),), ())
    model = DescribedModel("half", metadata, True, False, False, False, False)
    paths = paths_of(model, {"x": np.zeros((1, 2), np.float16)})

    def example(path: str) -> Any:
        return paths[path]["post"]["requestBody"]["content"]["application/json"].get("example")

    assert example("/v2/models/half/infer") is None
    assert example("/v1/models/half:predict") == {"instances": [[0.0, 0.0]]}
    schema = paths["/v1/models/half:predict"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    row = schema["properties"]["instances"]["items"]
    assert row == {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2}


def test_models_that_take_anything_are_described_without_examples() -> None:
    from haizen_runtime.doors.http.openapi_models import DescribedModel, paths_of
    from haizen_runtime.protocol.messages import ModelMetadata, TensorMetadata

    metadata = ModelMetadata("python", (TensorMetadata("instances", "FP64", (-1,)),), (), True, True)
    for path in paths_of(DescribedModel("any", metadata, False, True, True, True, False), None).values():
        assert "example" not in path["post"]["requestBody"]["content"]["application/json"]
