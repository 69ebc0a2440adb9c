"""One process with models of every datatype, one with inputs of two datatypes, and iris."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.runtime.conftest import RuntimeProcess
from tests.runtime.doors.grpc.conftest import PROGRAM, identity_folder

__all__ = ["identity_folder"]


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory, identity_folder: Path, iris_dir: Path) -> Path:
    import onnx
    from onnx import TensorProto, helper

    folder = tmp_path_factory.mktemp("models")
    for place in (*identity_folder.iterdir(), iris_dir):
        name = "iris" if place is iris_dir else place.name
        (folder / name).mkdir()
        for file in place.iterdir():
            (folder / name / file.name).write_bytes(file.read_bytes())
    kinds = {"a": TensorProto.FLOAT, "b": TensorProto.STRING, "c": TensorProto.DOUBLE}
    graph = helper.make_graph(
        [helper.make_node("Identity", [name], [f"{name}2"]) for name in kinds],
        "three",
        [helper.make_tensor_value_info(name, kind, ["rows", "columns"]) for name, kind in kinds.items()],
        [helper.make_tensor_value_info(f"{name}2", kind, ["rows", "columns"]) for name, kind in kinds.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (folder / "three").mkdir()
    onnx.save(model, folder / "three" / "model.onnx")
    return folder


@pytest.fixture(scope="session")
def models(model_folder: Path) -> Iterator[RuntimeProcess]:
    runtime = RuntimeProcess(
        ["-c", PROGRAM, str(model_folder), "--host=127.0.0.1", "--http_port=0", "--max_body_bytes=20000000",
         "--compress_above_bytes=2000"], {},
    )  # fmt: skip
    try:
        runtime.wait_ready()
        yield runtime
    finally:
        runtime.stop()
