"""Protocol Buffers' wire format: reading fields out of a buffer by position, and writing them. Pure, no library.

Messages are read where they lie: a field's value is a number or a span of the buffer, so that tensors are found
without copying them. Encoding: https://protobuf.dev/programming-guides/encoding/.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from haizen_runtime.protocol.errors import MalformedMessage

VARINT: Final = 0
FIXED64: Final = 1
LENGTH: Final = 2
GROUP: Final = 3
GROUP_END: Final = 4
FIXED32: Final = 5

Field = tuple[int, int, int, int]
"""Number, wire type, and either (value, position after it) or, for LENGTH, (start, end) of the value's bytes."""

_MAX_GROUP_DEPTH: Final = 100
_MAX_64: Final = 2**64
_SIGN_64: Final = 2**63


def read_varint(data: bytes, position: int, end: int) -> tuple[int, int]:
    """An unsigned integer of up to 64 bits and the position after it. Raises MalformedMessage."""
    value = shift = 0
    while position < end:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & (_MAX_64 - 1), position
        shift += 7
        if shift > 63:
            raise MalformedMessage("The protobuf message holds a number longer than 64 bits.")
    raise MalformedMessage("The protobuf message ends inside a number.")


def read_fields(data: bytes, start: int, end: int) -> Iterator[Field]:
    """All fields of the message in data[start:end], in their order; groups are skipped. Raises MalformedMessage."""
    position = start
    while position < end:
        tag = data[position]
        if tag < 0x80:
            position += 1
        else:
            tag, position = read_varint(data, position, end)
        number, kind = tag >> 3, tag & 7
        if not 0 < number < 2**29:
            raise MalformedMessage(f"The protobuf message has a field with the number {number}.")
        if kind == LENGTH:
            first, stop = read_span(data, position, end)
            yield number, kind, first, stop
            position = stop
        elif kind == VARINT:
            value, position = read_varint(data, position, end)
            yield number, kind, value, position
        elif kind == GROUP:
            position = _skip_group(data, position, end, number)
        else:
            size = _fixed_size(kind)
            if position + size > end:
                raise MalformedMessage("The protobuf message ends inside a number.")
            yield number, kind, int.from_bytes(data[position : position + size], "little"), position + size
            position += size


def skip_field(data: bytes, position: int, end: int) -> int:
    """The position after the field that begins at `position`, whatever it is. Raises MalformedMessage."""
    tag, position = read_varint(data, position, end)
    number, kind = tag >> 3, tag & 7
    if not 0 < number < 2**29:
        raise MalformedMessage(f"The protobuf message has a field with the number {number}.")
    if kind == LENGTH:
        return read_span(data, position, end)[1]
    if kind == VARINT:
        return read_varint(data, position, end)[1]
    if kind == GROUP:
        return _skip_group(data, position, end, number)
    position += _fixed_size(kind)
    if position > end:
        raise MalformedMessage("The protobuf message ends inside a number.")
    return position


def read_span(data: bytes, position: int, end: int) -> tuple[int, int]:
    """Start and end of a length-delimited value whose length is at `position`. Raises MalformedMessage."""
    if position < end and data[position] < 0x80:
        length, start = data[position], position + 1
    else:
        length, start = read_varint(data, position, end)
    if start + length > end:
        raise MalformedMessage(f"The protobuf message ends inside a field of {length} bytes.")
    return start, start + length


def text(data: bytes, start: int, end: int) -> str:
    """A string field. Raises MalformedMessage when it is not UTF-8 (proto3's rule)."""
    try:
        return data[start:end].decode()
    except UnicodeDecodeError:
        raise MalformedMessage("A string in the protobuf message is not UTF-8.") from None


def signed(value: int) -> int:
    """A 64-bit varint as int32 and int64 fields mean it: two's complement."""
    return value - _MAX_64 if value >= _SIGN_64 else value


def expect(kind: int, wanted: int, number: int) -> None:
    """Raise MalformedMessage unless a field of a known number has the wire type it must have."""
    if kind != wanted:
        raise MalformedMessage(f"Field {number} of the protobuf message has wire type {kind} instead of {wanted}.")


def _fixed_size(kind: int) -> int:
    if kind == FIXED32:
        return 4
    if kind == FIXED64:
        return 8
    raise MalformedMessage(f"The protobuf message has a field of wire type {kind}.")


def _skip_group(data: bytes, position: int, end: int, number: int) -> int:
    """The position after the group that opened before `position`."""
    open_groups = [number]
    while open_groups:
        if position >= end:
            raise MalformedMessage("The protobuf message ends inside a group.")
        tag, position = read_varint(data, position, end)
        kind = tag & 7
        if kind == LENGTH:
            _, position = read_span(data, position, end)
        elif kind == VARINT:
            _, position = read_varint(data, position, end)
        elif kind == GROUP:
            open_groups.append(tag >> 3)
            if len(open_groups) > _MAX_GROUP_DEPTH:
                raise MalformedMessage(f"The protobuf message nests groups deeper than {_MAX_GROUP_DEPTH} levels.")
        elif kind == GROUP_END:
            if open_groups.pop() != tag >> 3:
                raise MalformedMessage("A group of the protobuf message is not closed.")
        else:
            position += _fixed_size(kind)
    if position > end:
        raise MalformedMessage("The protobuf message ends inside a number.")
    return position


def varint(value: int) -> bytes:
    """An integer as a varint; a negative one in ten bytes, as int32 and int64 fields are written."""
    if 0 <= value < 0x80:
        return _ONE_BYTE[value]
    if value < 0:
        value += _MAX_64
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


_ONE_BYTE: Final = [bytes([value]) for value in range(0x80)]


def tag(number: int, kind: int) -> bytes:
    """What stands before a value."""
    return varint(number << 3 | kind)


def number_field(number: int, value: int) -> bytes:
    """An integer, boolean or enum field; nothing for 0 (proto3's default)."""
    return tag(number, VARINT) + varint(value) if value else b""


def bytes_field(number: int, value: bytes) -> bytes:
    """A string, bytes or message field, also when it is empty."""
    return tag(number, LENGTH) + varint(len(value)) + value


def text_field(number: int, value: str | None) -> bytes:
    """A string field; nothing for an empty one (proto3's default)."""
    return bytes_field(number, value.encode("utf-8", "replace")) if value else b""


def packed_field(number: int, values: Iterable[int]) -> bytes:
    """A repeated integer field, packed; nothing for none."""
    packed = b"".join([varint(value) for value in values])
    return bytes_field(number, packed) if packed else b""
