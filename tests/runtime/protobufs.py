"""Google's own classes of our .proto files, compiled by protoc."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

import haizen_runtime.protocol

PROTOCOL = Path(haizen_runtime.protocol.__file__).parent


@cache
def file_descriptors(name: str) -> descriptor_pb2.FileDescriptorSet:
    """protoc's descriptors of a .proto file."""
    from grpc_tools import protoc

    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "descriptors"
        assert protoc.main(["protoc", f"-I{PROTOCOL}", f"--descriptor_set_out={out}", str(PROTOCOL / name)]) == 0
        return descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes())


@cache
def classes(name: str = "open_inference.proto") -> Any:
    """The message classes of a .proto file by their name."""
    pool = descriptor_pool.DescriptorPool()
    found = message_factory.GetMessageClassesForFiles([file.name for file in _added(pool, name)], pool)
    return SimpleNamespace(**{full_name.rpartition(".")[2]: message for full_name, message in found.items()})


def _added(pool: descriptor_pool.DescriptorPool, name: str) -> list[descriptor_pb2.FileDescriptorProto]:
    files = list(file_descriptors(name).file)
    for file in files:
        pool.Add(file)  # type: ignore[no-untyped-call]
    return files
