"""The Open Inference Protocol's small protobuf messages: health, metadata, repository. Pure, and without numpy.

Field numbers: `open_inference.proto` beside this file.
"""

from __future__ import annotations

from collections.abc import Iterable

from haizen_runtime.protocol.messages import ModelMetadata, TensorMetadata
from haizen_runtime.protocol.wire import (
    LENGTH,
    VARINT,
    bytes_field,
    key,
    number_field,
    packed_field,
    read_fields,
    text,
    text_field,
)


def read_texts(data: bytes, start: int, end: int, count: int) -> list[str]:
    """The string fields 1 to `count` of a message; those not there are empty. Raises MalformedMessage."""
    found = [""] * count
    for each, first, stop in read_fields(data, start, end):
        if each & 7 == LENGTH and each >> 3 <= count:
            found[(each >> 3) - 1] = text(data, first, stop)
    return found


def read_flag(data: bytes, start: int, end: int, wanted: int) -> bool:
    """A boolean field; false when it is not there. Raises MalformedMessage."""
    value = 0
    for each, first, _ in read_fields(data, start, end):
        if each == key(wanted, VARINT):
            value = first
    return bool(value)


def read_names(data: bytes, start: int, end: int, wanted: int) -> list[str]:
    """The keys of a map field whose keys are strings, with doubles. Raises MalformedMessage."""
    return [
        read_texts(data, first, stop, 1)[0]
        for each, first, stop in read_fields(data, start, end)
        if each == key(wanted, LENGTH)
    ]


def server_metadata(name: str, version: str, extensions: Iterable[str]) -> bytes:
    """A ServerMetadataResponse."""
    return text_field(1, name) + text_field(2, version) + b"".join(text_field(3, each) for each in extensions)


def model_metadata(name: str, versions: Iterable[str], metadata: ModelMetadata) -> bytes:
    """A ModelMetadataResponse."""
    return b"".join((
        text_field(1, name),
        *(text_field(2, version) for version in versions),
        text_field(3, metadata.platform),
        *(bytes_field(4, _tensor(tensor)) for tensor in metadata.inputs),
        *(bytes_field(5, _tensor(tensor)) for tensor in metadata.outputs),
    ))  # fmt: skip


def model_index(name: str, version: str, state: str, reason: str) -> bytes:
    """One model of a RepositoryIndexResponse."""
    fields = text_field(1, name) + text_field(2, version) + text_field(3, state) + text_field(4, reason)
    return bytes_field(1, fields)


def repository_change(name: str) -> bytes:
    """A RepositoryModelLoadResponse or RepositoryModelUnloadResponse that says it was done."""
    return text_field(1, name) + number_field(2, 1)


def _tensor(tensor: TensorMetadata) -> bytes:
    return text_field(1, tensor.name) + text_field(2, tensor.datatype) + packed_field(3, tensor.shape)
