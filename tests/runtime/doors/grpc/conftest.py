"""Real models of every datatype behind one real process, and gRPC's own client."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from tests.runtime.conftest import RuntimeProcess
from tests.runtime.protobufs import classes
from tests.support.folder_server import PROGRAM

PB = classes()
SERVICE = "/inference.GRPCInferenceService/"


class Client:
    """Calls by their name, over gRPC's own client."""

    def __init__(self, target: str, *options: tuple[str, Any]) -> None:
        self.target = target
        self.channel = grpc.insecure_channel(target, options)

    def call(self, name: str, message: Any, **options: Any) -> Any:
        return self.whole(name, message, **options)[0]

    def whole(self, name: str, message: Any, **options: Any) -> tuple[Any, Any]:
        answer = getattr(PB, f"{name}Response")
        method = self.channel.unary_unary(SERVICE + name, type(message).SerializeToString, answer.FromString)
        return method.with_call(message, **{"timeout": 60, **options})

    def raw(self, path: str, message: bytes, **options: Any) -> bytes:
        """Call any method with any bytes."""
        answer: bytes = self.channel.unary_unary(path)(message, **{"timeout": 60, **options})
        return answer

    def infer(self, model: str, datatype: str, array: Any, raw: bool = True, **options: Any) -> Any:
        return self.call("ModelInfer", infer_request(model, datatype, array, raw), **options)


def infer_request(model: str, datatype: str, array: Any, raw: bool = True, **fields: Any) -> Any:
    from haizen_runtime.protocol.tensor_bytes import bytes_from_array
    from haizen_runtime.protocol.typed_contents import FIELD_OF, NAME_OF

    message = PB.ModelInferRequest(model_name=model, **fields)
    tensor = message.inputs.add(name="x", datatype=datatype, shape=array.shape)
    if raw:
        message.raw_input_contents.append(bytes(bytes_from_array(array, datatype)))
    else:
        getattr(tensor.contents, NAME_OF[FIELD_OF[datatype]]).extend(array.ravel().tolist())
    return message


def target_of(runtime: RuntimeProcess) -> str:
    return runtime.url.removeprefix("http://")


@pytest.fixture
def iris_client(iris_runtime: RuntimeProcess) -> Iterator[Client]:
    client = Client(target_of(iris_runtime))
    yield client
    client.channel.close()


@pytest.fixture(scope="session")
def identity_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ONNX model for each datatype that gives back what it gets."""
    import onnx

    from haizen_runtime.protocol.dtypes import NUMPY_OF

    folder = tmp_path_factory.mktemp("identities")
    for datatype, dtype in NUMPY_OF.items():
        if datatype == "BF16":
            continue  # onnxruntime's Python has no such tensors
        element = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(object) if datatype == "BYTES" else dtype)
        shape = ["rows", "columns"]
        graph = onnx.helper.make_graph(
            [onnx.helper.make_node("Identity", ["x"], ["y"])],
            "identity",
            [onnx.helper.make_tensor_value_info("x", element, shape)],
            [onnx.helper.make_tensor_value_info("y", element, shape)],
        )
        model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
        (folder / datatype.lower()).mkdir()
        onnx.save(model, folder / datatype.lower() / "model.onnx")
    return folder


@pytest.fixture(scope="session")
def identities(identity_folder: Path) -> Iterator[RuntimeProcess]:
    runtime = RuntimeProcess(
        ["-c", PROGRAM, str(identity_folder), "--host=127.0.0.1", "--http_port=0", "--max_body_bytes=4000000"], {}
    )
    try:
        runtime.wait_ready()
        yield runtime
    finally:
        runtime.stop()


@pytest.fixture
def identity_client(identities: RuntimeProcess) -> Iterator[Client]:
    client = Client(target_of(identities), ("grpc.max_receive_message_length", -1))
    yield client
    client.channel.close()
