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

Field = tuple[int, int, int]
"""A field's key, and either its value and the position after it or, for LENGTH, the start and end of its bytes."""

_MAX_GROUP_DEPTH: Final = 100
_MAX_64: Final = 2**64
_SIGN_64: Final = 2**63
_MAX_NUMBER: Final = 2**29


def key(number: int, kind: int) -> int:
    """Number and wire type in one, as they stand before a value.

    A known number with another wire type than it should have is an unknown field (Protocol Buffers' rule): readers
    compare keys, not numbers.
    """
    return number << 3 | kind


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
    raise _cut_short()


def read_fields(data: bytes, start: int, end: int) -> Iterator[Field]:
    """All fields of the message in data[start:end], in their order; groups are skipped. Raises MalformedMessage."""
    position = start
    while position < end:
        found = data[position]
        if found < 0x80:
            position += 1
        else:
            found, position = read_varint(data, position, end)
        kind = found & 7
        if not 0 < found >> 3 < _MAX_NUMBER:
            raise _bad_number(found >> 3)
        if kind == LENGTH:
            first, position = read_span(data, position, end)
            yield found, first, position
        elif kind == VARINT:
            value, position = read_varint(data, position, end)
            yield found, value, position
        elif kind == GROUP:
            position = _skip_group(data, position, end, found >> 3)
        else:
            size = _fixed_size(kind)
            if position + size > end:
                raise _cut_short()
            value = int.from_bytes(data[position : position + size], "little")
            position += size
            yield found, value, position


def skip_field(data: bytes, position: int, end: int) -> int:
    """The position after the field that begins at `position`, whatever it is. Raises MalformedMessage."""
    found, position = read_varint(data, position, end)
    number, kind = found >> 3, found & 7
    if not 0 < number < _MAX_NUMBER:
        raise _bad_number(number)
    if kind == LENGTH:
        return read_span(data, position, end)[1]
    if kind == VARINT:
        return read_varint(data, position, end)[1]
    if kind == GROUP:
        return _skip_group(data, position, end, number)
    position += _fixed_size(kind)
    if position > end:
        raise _cut_short()
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


def first_value(data: bytes, start: int, number: int) -> int:
    """Where the value of the first length-delimited field of a number lies in a message that begins at `start`.

    0 when `data`, which may be the message's beginning only, does not tell: another kind of field comes before it, or
    it is not there yet.
    """
    position, end = start, len(data)
    try:
        while position < end:
            found, position = read_varint(data, position, end)
            if found & 7 != LENGTH:
                return 0
            length, position = read_varint(data, position, end)
            if found >> 3 == number:
                return position
            position += length
    except MalformedMessage:
        return 0
    return 0


def text(data: bytes, start: int, end: int) -> str:
    """A string field. Raises MalformedMessage when it is not UTF-8 (proto3's rule)."""
    try:
        return data[start:end].decode()
    except UnicodeDecodeError:
        raise MalformedMessage("A string in the protobuf message is not UTF-8.") from None


def signed(value: int) -> int:
    """A 64-bit varint as int32 and int64 fields mean it: two's complement."""
    return value - _MAX_64 if value >= _SIGN_64 else value


def _cut_short() -> MalformedMessage:
    return MalformedMessage("The protobuf message ends inside a number.")


def _bad_number(number: int) -> MalformedMessage:
    return MalformedMessage(f"The protobuf message has a field with the number {number}.")


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
        found, after = read_varint(data, position, end)
        if found & 7 == GROUP:
            open_groups.append(found >> 3)
            position = after
            if len(open_groups) > _MAX_GROUP_DEPTH:
                raise MalformedMessage(f"The protobuf message nests groups deeper than {_MAX_GROUP_DEPTH} levels.")
        elif found & 7 == GROUP_END:
            if open_groups.pop() != found >> 3:
                raise MalformedMessage("A group of the protobuf message is not closed.")
            position = after
        else:
            position = skip_field(data, position, end)
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
    """A key, as bytes."""
    return varint(key(number, kind))


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
