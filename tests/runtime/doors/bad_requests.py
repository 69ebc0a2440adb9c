"""Bad requests of every kind, made from a seed: what each door must refuse without a failure of its own."""

from __future__ import annotations

import random
import string
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import quote

import orjson

V1, V2 = "/v1/models/iris:predict", "/v2/models/iris/infer"
GRPC_INFER = "/inference.GRPCInferenceService/ModelInfer"
TENSOR = {"name": "x", "shape": [1, 4], "datatype": "FP64", "data": [5.1, 3.5, 1.4, 0.2]}
GOOD = orjson.dumps({"inputs": [TENSOR]})


@dataclass(frozen=True)
class HttpRequest:
    """A whole HTTP/1.1 request whose body is there."""

    path: str
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class RawBytes:
    """What is written to a connection before the client stops writing."""

    data: bytes


@dataclass(frozen=True)
class GrpcCall:
    """A call with any bytes as its message."""

    path: str
    message: bytes


Request = HttpRequest | RawBytes | GrpcCall


def odd_name(chance: random.Random) -> str:
    """A model's name that no model has."""
    letters = string.printable + "äß中\u202e\0"
    return "odd" + "".join(chance.choices(letters, k=int(2 ** chance.uniform(0, 12))))


def malformed_json(chance: random.Random) -> Request:
    at = chance.randrange(len(GOOD))
    return HttpRequest(chance.choice((V1, V2)), GOOD[:at] + chance.randbytes(chance.randrange(8)) + b'"' + GOOD[at:])


def deep_nesting(chance: random.Random) -> Request:
    depth = chance.randrange(101, 20_000)
    opening, closing = chance.choice(((b"[", b"]"), (b'{"a":', b"}")))
    return HttpRequest(V2, b'{"inputs":' + opening * depth + b"1" + closing * depth * chance.randrange(2) + b"}")


def wrong_shape(chance: random.Random) -> Request:
    shape = [chance.choice((-1, 0, 2, 3, 5, 2**31, 2**62, 2**64)) for _ in range(chance.randrange(40))]
    return HttpRequest(V2, orjson.dumps({"inputs": [{**TENSOR, "shape": [str(each) for each in shape]}]}).replace(
        b'"shape":' + orjson.dumps([str(each) for each in shape]), b'"shape":' + str(shape).encode()
    ))  # fmt: skip


def wrong_fields(chance: random.Random) -> Request:
    name = chance.choice(sorted(TENSOR))
    value = chance.choice((None, {}, [], "", "FP31", [[1], [2, 3]], ["a"] * 4, [None] * 4, True, -1))
    return HttpRequest(V2, orjson.dumps({"inputs": [{**TENSOR, name: value, "datatype": "FP99"}]}))


def huge_numbers(chance: random.Random) -> Request:
    digits = b"9" * chance.randrange(300, 5000)
    number = chance.choice((digits, b"-" + digits, b"1e" + digits[:400], b"0." + digits + b"e999"))
    datatype = chance.choice((b"INT8", b"UINT64", b"INT64", b"FP16"))
    return HttpRequest(
        V2, b'{"inputs":[{"name":"x","shape":[1,4],"datatype":"' + datatype + b'","data":[1,2,3,' + number + b"]}]}"
    )


def bad_headers(chance: random.Random) -> Request:
    name = chance.choice(("content-type", "content-encoding", "inference-header-content-length", "ce-specversion"))
    value = chance.choice(("gzip", "br", "text/xml", "-1", "9" * 40, "0x10", "1e3", ",", "a/b;c=" + "d" * 900))
    return HttpRequest(V2, chance.randbytes(chance.randrange(200)), {name: value, "x-request-id": "i" * 500})


def bad_binary(chance: random.Random) -> Request:
    size = chance.choice((0, 31, 33, 2**31, 2**63))
    head = orjson.dumps({"inputs": [{**TENSOR, "data": None, "parameters": {"binary_data_size": size}}]})
    length = len(head) + chance.choice((0, 0, -1, 1, 1000))
    return HttpRequest(
        V2, head + chance.randbytes(chance.randrange(64)) + b"x", {"inference-header-content-length": str(length)}
    )


def odd_path(chance: random.Random) -> Request:
    name = quote(odd_name(chance)[:1500], safe="")
    path = chance.choice(("/v2/models/{}/infer", "/v1/models/{}:predict", "/v2/models/iris/versions/{}/infer", "/{}"))
    return HttpRequest(path.format(name), GOOD)


def truncated_body(chance: random.Random) -> Request:
    head = f"POST {V2} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(GOOD)}\r\n\r\n".encode()
    return RawBytes((head + GOOD)[: chance.randrange(1, len(head + GOOD))])


def truncated_chunks(chance: random.Random) -> Request:
    head = f"POST {V2} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n".encode()
    return RawBytes(head + b"%x\r\n" % chance.choice((5, 100, 2**31, 2**70)) + chance.randbytes(chance.randrange(50)))


def no_http(chance: random.Random) -> Request:
    start = chance.choice(
        (b"", b"GET / HTTP/9.9\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"POST / HTTP/1.1\r\n: x\r\n")
    )
    return RawBytes(start + chance.randbytes(chance.randrange(200)))


def grpc_garbage(chance: random.Random) -> Request:
    return GrpcCall(GRPC_INFER, b"\xff" + chance.randbytes(chance.randrange(300)))


def grpc_odd_name(chance: random.Random) -> Request:
    name = odd_name(chance).encode("utf-8", "replace")[:2000]
    message = b"\x0a" + bytes([len(name) & 127 | 128, len(name) >> 7]) + name
    return GrpcCall(chance.choice((GRPC_INFER, "/inference.GRPCInferenceService/Odd")), message)


KINDS: tuple[Callable[[random.Random], Request], ...] = (
    malformed_json, deep_nesting, wrong_shape, wrong_fields, huge_numbers, bad_headers, bad_binary, odd_path,
    truncated_body, truncated_chunks, no_http, grpc_garbage, grpc_odd_name,
)  # fmt: skip
