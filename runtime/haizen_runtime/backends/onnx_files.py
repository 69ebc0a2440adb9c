"""Which other files an ONNX model reads, told from its protobuf bytes without the onnx package."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from haizen_runtime.protocol.errors import ModelLoadFailed, UntrustedFormat

MAX_DEPTH: Final = 64
"""How deep graphs may nest inside each other."""

# Message -> field number -> message, for the fields on the way to a tensor's external data (onnx.proto3).
_FIELDS: Final[dict[str, dict[int, str]]] = {
    "Model": {7: "Graph", 20: "TrainingInfo", 25: "Function"},
    "TrainingInfo": {1: "Graph", 2: "Graph"},
    "Graph": {1: "Node", 5: "Tensor", 15: "SparseTensor"},
    "Function": {7: "Node", 11: "Attribute"},
    "Node": {5: "Attribute"},
    "Attribute": {5: "Tensor", 6: "Graph", 10: "Tensor", 11: "Graph", 22: "SparseTensor", 23: "SparseTensor"},
    "SparseTensor": {1: "Tensor", 2: "Tensor"},
    "Tensor": {13: "Entry"},
}


def check_external_data(path: Path) -> None:
    """Refuse a model whose external data is anything but plain files inside its own directory.

    Raises UntrustedFormat naming the path, ModelLoadFailed when the file is no protobuf.
    """
    if path.stat().st_size == 0:
        raise ModelLoadFailed(f"{path.name} is empty.")
    root = path.parent.resolve()
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            locations = set(_locations(data, 0, len(data), "Model", 0))
        except (IndexError, ValueError, UnicodeDecodeError):
            raise ModelLoadFailed(f"{path.name} is not an ONNX model: its protobuf is broken.") from None
    for location in sorted(locations):
        _check_location(root, location, path.name)


def _check_location(root: Path, location: str, model: str) -> None:
    relative = Path(location)
    if relative.is_absolute() or ".." in relative.parts or not relative.parts:
        raise UntrustedFormat(f'{model} reads the file "{location[:200]}", which is outside its own directory.')
    current = root
    for part in relative.parts:
        current = current / part
        if current.is_symlink():
            raise UntrustedFormat(f'{model} reads the file "{location[:200]}", which is a link.')
    if not current.is_file():
        raise ModelLoadFailed(f'{model} needs the file "{location[:200]}", which is not beside it.')


def _locations(data: mmap.mmap, start: int, end: int, message: str, depth: int) -> Iterator[str]:
    if depth > MAX_DEPTH:
        raise ValueError("graphs nest too deep")
    wanted = _FIELDS[message]
    for number, low, high in _length_delimited(data, start, end):
        kind = wanted.get(number)
        if kind == "Entry":
            key = value = b""
            for field, first, last in _length_delimited(data, low, high):
                if field == 1:
                    key = data[first:last]
                elif field == 2:
                    value = data[first:last]
            if key == b"location":
                yield value.decode()
        elif kind is not None:
            yield from _locations(data, low, high, kind, depth + 1)


def _length_delimited(data: mmap.mmap, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """The length-delimited fields of a message: number, first byte, end. Others are skipped."""
    position = start
    while position < end:
        tag, position = _varint(data, position, end)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            _, position = _varint(data, position, end)
        elif wire == 1:
            position += 8
        elif wire == 5:
            position += 4
        elif wire == 2:
            length, position = _varint(data, position, end)
            if position + length > end:
                raise ValueError("a field ends past its message")
            yield number, position, position + length
            position += length
        else:
            raise ValueError("an unknown wire type")
    if position != end:
        raise ValueError("a field ends past its message")


def _varint(data: mmap.mmap, position: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if position >= end or shift > 63:
            raise ValueError("a broken number")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
