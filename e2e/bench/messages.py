"""Google's own classes of ModelInfer's messages, from the .proto file in the tree: what any client would use."""

from importlib.resources import files
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from haizen_runtime.protocol.proto_files import read_proto

_NAME = "open_inference.proto"


def _classes() -> dict[str, Any]:
    pool = descriptor_pool.DescriptorPool()
    source = (files("haizen_runtime.protocol") / _NAME).read_text()
    pool.Add(descriptor_pb2.FileDescriptorProto.FromString(read_proto(_NAME, source).descriptor))  # type: ignore[no-untyped-call]
    return message_factory.GetMessageClassesForFiles([_NAME], pool)


_FOUND = _classes()
ModelInferRequest = _FOUND["inference.ModelInferRequest"]
ModelInferResponse = _FOUND["inference.ModelInferResponse"]
