"""The .proto files beside this one as descriptors: what reflection hands out, without protoc at run time. Pure.

Reads the part of proto3 that those files use: messages in messages, enums, oneofs, maps, repeated fields, services.
The numbers are those of descriptor.proto (https://protobuf.com/docs/descriptors).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from haizen_runtime.protocol.wire import bytes_field, number_field, text_field

SCALARS: Final = {
    "double": 1, "float": 2, "int64": 3, "uint64": 4, "int32": 5, "bool": 8, "string": 9, "bytes": 12, "uint32": 13,
}  # fmt: skip
_MESSAGE, _ENUM = 11, 14
_OPTIONAL, _REPEATED = 1, 3
_TOKEN: Final = re.compile(r'"[^"]*"|[\w.]+|[{}()<>=;,]')
_COMMENT: Final = re.compile(r"//[^\n]*")


@dataclass(frozen=True, slots=True)
class ProtoFile:
    """One file: its serialized FileDescriptorProto, and the full names of what it declares."""

    name: str
    descriptor: bytes
    services: tuple[str, ...]
    symbols: frozenset[str]


def read_proto(name: str, source: str) -> ProtoFile:
    """Read a .proto file's text. Raises ValueError where it is not understood."""
    return _Reader(name, source).file()


_Field = tuple[str, str, int, int, int | None]
_Enum = tuple[str, list[tuple[str, int]]]


@dataclass(slots=True)
class _Message:
    name: str
    fields: list[_Field] = field(default_factory=list)
    """Name, type, number, label, index of the oneof."""
    nested: list[_Message] = field(default_factory=list)
    enums: list[_Enum] = field(default_factory=list)
    oneofs: list[str] = field(default_factory=list)
    is_map_entry: bool = False


class _Reader:
    def __init__(self, name: str, source: str) -> None:
        self._name = name
        self._tokens = _TOKEN.findall(_COMMENT.sub("", source))
        self._position = 0
        self._package = ""
        self._kinds: dict[str, int] = {}
        self._symbols: set[str] = set()

    def file(self) -> ProtoFile:
        messages: list[_Message] = []
        enums: list[_Enum] = []
        services: list[tuple[str, list[tuple[str, str, bool, str, bool]]]] = []
        while self._position < len(self._tokens):
            word = self._next()
            if word == "syntax":
                self._expect("=", '"proto3"', ";")
            elif word == "package":
                self._package = self._next()
                self._expect(";")
            elif word == "message":
                messages.append(self._message())
            elif word == "enum":
                enums.append((self._next(), self._values()))
            elif word == "service":
                services.append((self._next(), self._methods()))
            else:
                raise ValueError(f"{self._name}: {word!r} is not understood")
        for message in messages:
            self._declare(message, self._package)
        self._declare_enums(enums, self._package)
        parts = [text_field(1, self._name), text_field(2, self._package)]
        parts += [bytes_field(4, self._encoded(message, f"{self._package}.{message.name}")) for message in messages]
        parts += [bytes_field(5, _encoded_enum(*enum)) for enum in enums]
        for name, methods in services:
            full_name = f"{self._package}.{name}"
            self._symbols |= {full_name, *(f"{full_name}.{method[0]}" for method in methods)}
            parts.append(bytes_field(6, text_field(1, name) + b"".join(self._method(*each) for each in methods)))
        parts.append(text_field(12, "proto3"))
        names = tuple(f"{self._package}.{name}" for name, _ in services)
        return ProtoFile(self._name, b"".join(parts), names, frozenset(self._symbols))

    def _next(self) -> str:
        if self._position == len(self._tokens):
            raise ValueError(f"{self._name} ends too early")
        self._position += 1
        token: str = self._tokens[self._position - 1]
        return token

    def _expect(self, *tokens: str) -> None:
        for token in tokens:
            if (found := self._next()) != token:
                raise ValueError(f"{self._name}: expected {token!r}, found {found!r}")

    def _message(self) -> _Message:
        message = _Message(self._next())
        self._expect("{")
        while (word := self._next()) != "}":
            if word == "message":
                message.nested.append(self._message())
            elif word == "enum":
                message.enums.append((self._next(), self._values()))
            elif word == "oneof":
                message.oneofs.append(self._next())
                self._expect("{")
                while (kind := self._next()) != "}":
                    self._field(message, kind, _OPTIONAL, len(message.oneofs) - 1)
            elif word == "map":
                self._map(message)
            elif word == "repeated":
                self._field(message, self._next(), _REPEATED)
            else:
                self._field(message, word, _OPTIONAL)
        return message

    def _field(self, message: _Message, kind: str, label: int, oneof: int | None = None) -> None:
        name = self._next()
        self._expect("=")
        message.fields.append((name, kind, int(self._next()), label, oneof))
        self._expect(";")

    def _map(self, message: _Message) -> None:
        """A map is a repeated message with a key and a value."""
        self._expect("<")
        key = self._next()
        self._expect(",")
        value = self._next()
        self._expect(">")
        name = self._tokens[self._position]
        entry = "".join(part.capitalize() for part in name.split("_")) + "Entry"
        fields: list[_Field] = [("key", key, 1, _OPTIONAL, None), ("value", value, 2, _OPTIONAL, None)]
        message.nested.append(_Message(entry, fields, is_map_entry=True))
        self._field(message, entry, _REPEATED)

    def _values(self) -> list[tuple[str, int]]:
        values = []
        self._expect("{")
        while (name := self._next()) != "}":
            self._expect("=")
            values.append((name, int(self._next())))
            self._expect(";")
        return values

    def _methods(self) -> list[tuple[str, str, bool, str, bool]]:
        methods = []
        self._expect("{")
        while (word := self._next()) != "}":
            if word != "rpc":
                raise ValueError(f"{self._name}: {word!r} is not understood")
            name = self._next()
            taken, takes_many = self._method_type()
            self._expect("returns")
            given, gives_many = self._method_type()
            self._expect(";")
            methods.append((name, taken, takes_many, given, gives_many))
        return methods

    def _method_type(self) -> tuple[str, bool]:
        self._expect("(")
        word = self._next()
        streams = word == "stream"
        if streams:
            word = self._next()
        self._expect(")")
        return word, streams

    def _declare(self, message: _Message, scope: str) -> None:
        full_name = f"{scope}.{message.name}"
        self._kinds[full_name] = _MESSAGE
        self._symbols |= {full_name, *(f"{full_name}.{name}" for name, *_ in message.fields)}
        self._declare_enums(message.enums, full_name)
        for nested in message.nested:
            self._declare(nested, full_name)

    def _declare_enums(self, enums: list[_Enum], scope: str) -> None:
        for name, _ in enums:
            self._kinds[f"{scope}.{name}"] = _ENUM
            self._symbols.add(f"{scope}.{name}")

    def _resolved(self, name: str, scope: str) -> str:
        """The full name of a type as it is written inside a scope: the innermost declaration."""
        while scope:
            if f"{scope}.{name}" in self._kinds:
                return f"{scope}.{name}"
            scope = scope.rpartition(".")[0]
        raise ValueError(f"{self._name}: there is no type {name}")

    def _encoded(self, message: _Message, full_name: str) -> bytes:
        parts = [text_field(1, message.name)]
        for name, kind, number, label, oneof in message.fields:
            parts.append(bytes_field(2, self._encoded_field(name, kind, number, label, oneof, full_name)))
        parts += [bytes_field(3, self._encoded(nested, f"{full_name}.{nested.name}")) for nested in message.nested]
        parts += [bytes_field(4, _encoded_enum(*enum)) for enum in message.enums]
        if message.is_map_entry:
            parts.append(bytes_field(7, number_field(7, 1)))
        parts += [bytes_field(8, text_field(1, name)) for name in message.oneofs]
        return b"".join(parts)

    def _encoded_field(self, name: str, kind: str, number: int, label: int, oneof: int | None, scope: str) -> bytes:
        parts = [text_field(1, name), number_field(3, number), number_field(4, label)]
        if kind in SCALARS:
            parts.append(number_field(5, SCALARS[kind]))
        else:
            full_name = self._resolved(kind, scope)
            parts += [number_field(5, self._kinds[full_name]), text_field(6, f".{full_name}")]
        if oneof is not None:
            parts.append(b"\x48" + bytes((oneof,)))
        first, *others = name.split("_")
        parts.append(text_field(10, first + "".join(part.capitalize() for part in others)))
        return b"".join(parts)

    def _method(self, name: str, taken: str, takes_many: bool, given: str, gives_many: bool) -> bytes:
        return bytes_field(2, b"".join((
            text_field(1, name),
            text_field(2, f".{self._resolved(taken, self._package)}"),
            text_field(3, f".{self._resolved(given, self._package)}"),
            number_field(5, takes_many),
            number_field(6, gives_many),
        )))  # fmt: skip


def _encoded_enum(enum: str, values: list[tuple[str, int]]) -> bytes:
    # A value of 0 is written as well: it is an optional field there, not one of proto3.
    encoded = b"".join(bytes_field(2, text_field(1, name) + b"\x10" + bytes((value,))) for name, value in values)
    return text_field(1, enum) + encoded
