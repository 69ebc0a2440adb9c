"""Our descriptors of the .proto files are protoc's."""

from __future__ import annotations

import pytest
from google.protobuf import descriptor_pb2

from haizen_runtime.protocol.proto_files import read_proto
from tests.runtime.protobufs import PROTOCOL, file_descriptors


@pytest.mark.parametrize("name", sorted(path.name for path in PROTOCOL.glob("*.proto")))
def test_descriptors(name: str) -> None:
    (expected,) = file_descriptors(name).file
    file = read_proto(name, (PROTOCOL / name).read_text())
    assert descriptor_pb2.FileDescriptorProto.FromString(file.descriptor) == expected
    assert file.services == tuple(f"{expected.package}.{service.name}" for service in expected.service)
    assert {f"{expected.package}.{message.name}" for message in expected.message_type} <= file.symbols


@pytest.mark.parametrize(
    ("source", "says"),
    [
        pytest.param("option x = 1;", "'option' is not understood", id="unknown-word"),
        pytest.param("message A { string x = 1 }", "expected ';', found '}'", id="no-semicolon"),
        pytest.param("message A {", "ends too early", id="cut-short"),
        pytest.param("message A { B x = 1; }", "there is no type B", id="unknown-type"),
        pytest.param("service S { foo; }", "'foo' is not understood", id="no-method"),
    ],
)
def test_what_is_not_understood_is_said(source: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        read_proto("x.proto", source)
