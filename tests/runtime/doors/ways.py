"""The ways by which a tensor reaches a model: REST as JSON or binary, gRPC raw or typed, plain or compressed."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import grpc
import httpx
import numpy as np
import orjson

from haizen_runtime.protocol.dtypes import NUMPY_OF
from haizen_runtime.protocol.tensor_bytes import array_from_bytes, bytes_from_array
from haizen_runtime.protocol.typed_contents import FIELD_OF, NAME_OF
from tests.runtime.conftest import RuntimeProcess
from tests.runtime.doors.grpc.conftest import PB, Client, target_of
from tests.runtime.tensor_cases import json_values

LENGTH = "inference-header-content-length"
COMPRESS = {"": bytes, "gzip": gzip.compress, "deflate": zlib.compress}
GRPC_COMPRESSION = {
    "": grpc.Compression.NoCompression, "gzip": grpc.Compression.Gzip, "deflate": grpc.Compression.Deflate,
}  # fmt: skip
CLASS_OF = {400: "invalid", 404: "not found", 413: "too large"}
CLASS_OF_CODE = {
    grpc.StatusCode.INVALID_ARGUMENT: "invalid", grpc.StatusCode.NOT_FOUND: "not found",
    grpc.StatusCode.RESOURCE_EXHAUSTED: "too large",
}  # fmt: skip


@dataclass(frozen=True)
class Sent:
    """A tensor as it is sent; `shape` may say something else than the array has."""

    name: str
    datatype: str
    array: Any
    shape: tuple[int, ...] | None = None

    @property
    def told(self) -> list[int]:
        """The shape that the request tells."""
        return list(self.array.shape if self.shape is None else self.shape)


@dataclass(frozen=True)
class Refused:
    """A class of error, the same for every door, and its words."""

    kind: str
    message: str


Answer = dict[str, Any] | Refused


@dataclass(frozen=True)
class Way:
    """One door, one encoding."""

    door: str
    encoding: str
    compression: str = ""

    def __str__(self) -> str:
        return "-".join(filter(None, (self.door, self.encoding, self.compression)))

    def carries(self, datatype: str) -> bool:
        """FP16 and BF16 have neither a form in a request's JSON nor a field of typed contents."""
        return self.encoding in ("binary", "raw") or datatype not in ("FP16", "BF16")

    def infer(self, runtime: RuntimeProcess, model: str, tensors: Sequence[Sent]) -> Answer:
        """The outputs by name, or the error."""
        return (over_rest if self.door == "rest" else over_grpc)(self, runtime, model, tensors)


WAYS = [
    Way("rest", "json"), Way("rest", "json", "gzip"), Way("rest", "json", "deflate"),
    Way("rest", "binary"), Way("rest", "binary", "gzip"), Way("rest", "binary", "deflate"),
    Way("grpc", "raw"), Way("grpc", "raw", "gzip"), Way("grpc", "raw", "deflate"),
    Way("grpc", "typed"), Way("grpc", "typed", "gzip"), Way("grpc", "typed", "deflate"),
]  # fmt: skip


def over_rest(way: Way, runtime: RuntimeProcess, model: str, tensors: Sequence[Sent]) -> Answer:
    inputs, tail = [], b""
    for sent in tensors:
        tensor: dict[str, Any] = {"name": sent.name, "datatype": sent.datatype, "shape": sent.told}
        if way.encoding == "binary":
            data = bytes(bytes_from_array(sent.array, sent.datatype))
            tail += data
            inputs.append({**tensor, "parameters": {"binary_data_size": len(data)}})
        else:
            inputs.append({**tensor, "data": json_values(sent.array)})
    binary = way.encoding == "binary"
    head = orjson.dumps({"inputs": inputs, "parameters": {"binary_data_output": True} if binary else {}})
    headers = {"content-encoding": way.compression} if way.compression else {}
    if binary:
        headers[LENGTH] = str(len(head))
    response = httpx.post(
        f"{runtime.url}/v2/models/{model}/infer", content=COMPRESS[way.compression](head + tail), headers=headers,
        timeout=60,
    )  # fmt: skip
    if response.status_code != 200:
        return Refused(CLASS_OF[response.status_code], response.json()["error"])
    position, found = int(response.headers.get(LENGTH, len(response.content))), {}
    for output in orjson.loads(response.content[:position])["outputs"]:
        name, datatype, shape = output["name"], output["datatype"], tuple(output["shape"])
        if binary:
            end = position + output["parameters"]["binary_data_size"]
            found[name] = array_from_bytes(response.content, position, end, datatype, shape, name)
            position = end
        else:
            values = [value.encode() if isinstance(value, str) else value for value in output["data"]]
            found[name] = np.array(values, NUMPY_OF[datatype]).reshape(shape)
    return found


def over_grpc(way: Way, runtime: RuntimeProcess, model: str, tensors: Sequence[Sent]) -> Answer:
    message = PB.ModelInferRequest(model_name=model)
    for sent in tensors:
        tensor = message.inputs.add(name=sent.name, datatype=sent.datatype, shape=sent.told)
        if way.encoding == "raw":
            message.raw_input_contents.append(bytes(bytes_from_array(sent.array, sent.datatype)))
        else:
            getattr(tensor.contents, NAME_OF[FIELD_OF[sent.datatype]]).extend(sent.array.ravel().tolist())
    client = Client(target_of(runtime))
    try:
        answer = client.call("ModelInfer", message, compression=GRPC_COMPRESSION[way.compression])
    except grpc.RpcError as error:
        return Refused(CLASS_OF_CODE[error.code()], error.details())
    finally:
        client.channel.close()
    found = {}
    for index, output in enumerate(answer.outputs):
        shape = tuple(output.shape)
        if answer.raw_output_contents:
            data = answer.raw_output_contents[index]
            found[output.name] = array_from_bytes(data, 0, len(data), output.datatype, shape, output.name)
        else:
            values = list(getattr(output.contents, NAME_OF[FIELD_OF[output.datatype]]))
            found[output.name] = np.array(values, NUMPY_OF[output.datatype]).reshape(shape)
    return found
