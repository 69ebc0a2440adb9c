"""Whatever comes over the wire: no answer is a 5xx, and the process stays up and right."""

from __future__ import annotations

import contextlib
import socket
from typing import Any

import httpx
import orjson
from hypothesis import given
from hypothesis import strategies as st

from tests.runtime.doors.conftest import check, fuzz

V1, V2 = "/v1/models/iris:predict", "/v2/models/iris/infer"
GOOD = orjson.dumps({"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP64", "data": [5.1, 3.5, 1.4, 0.2]}]})

FUZZ = fuzz(150)

scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8), st.sampled_from(["", "x", "FP64", "BYTES", 0, 1, 4, -1, 2**31]),
)  # fmt: skip
values = st.recursive(
    scalars,
    lambda each: st.one_of(st.lists(each, max_size=5), st.dictionaries(st.text(max_size=4), each, max_size=3)),
    max_leaves=12,
)  # fmt: skip
datatypes = st.sampled_from(
    ["BOOL", "UINT8", "INT32", "INT64", "UINT64", "FP16", "FP32", "FP64", "BYTES", "FP31", None]
)
numbers = st.lists(st.one_of(st.floats(-1e300, 1e300), st.integers(-9, 9), st.none(), values), min_size=0, max_size=8)
tensors = st.fixed_dictionaries(
    {}, optional={
        "name": st.one_of(st.just("x"), scalars), "shape": st.one_of(st.just([1, 4]), st.just([2, 4]), values),
        "datatype": st.one_of(datatypes, scalars), "data": st.one_of(numbers, st.lists(numbers, max_size=4), values),
        "parameters": values,
    },
)  # fmt: skip
v2_bodies = st.fixed_dictionaries(
    {}, optional={
        "id": scalars, "inputs": st.one_of(st.lists(tensors, max_size=3), values), "parameters": values,
        "outputs": st.one_of(st.just([{"name": "output-0"}]), values),
    },
)  # fmt: skip
rows = st.lists(st.one_of(numbers, st.dictionaries(st.text(max_size=3), scalars, max_size=4), values), max_size=4)
v1_bodies = st.fixed_dictionaries({}, optional={"instances": st.one_of(rows, values), "inputs": values})
header_values = st.one_of(
    st.sampled_from(["application/json", "text/plain", "gzip", "deflate", "identity", "-1", "1e9", "9" * 30, ","]),
    st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=20),
)
headers = st.dictionaries(
    st.sampled_from(["content-type", "content-encoding", "x-request-id", "x-envoy-expected-rq-timeout-ms", "accept"]),
    header_values, max_size=3,
)  # fmt: skip
NO_TIMEOUT = "x-envoy-expected-rq-timeout-ms"
"""A deadline of a millisecond may rightly end with a 504."""


@FUZZ
@given(path=st.sampled_from([V1, V2]), body=st.one_of(v1_bodies, v2_bodies, values), extra=headers)
def test_json_of_any_kind(iris_runtime: Any, client: httpx.Client, path: str, body: Any, extra: dict[str, str]) -> None:
    extra.pop(NO_TIMEOUT, None)
    check(iris_runtime, client.post(iris_runtime.url + path, content=orjson.dumps(body), headers=extra))


@FUZZ
@given(body=st.binary(max_size=300), at=st.integers(0, len(GOOD)), extra=headers)
def test_bytes_of_any_kind(
    iris_runtime: Any, client: httpx.Client, body: bytes, at: int, extra: dict[str, str]
) -> None:
    """Bytes alone, and bytes in the middle of a good request."""
    extra.pop(NO_TIMEOUT, None)
    for content in (body, GOOD[:at] + body + GOOD[at:]):
        check(iris_runtime, client.post(iris_runtime.url + V2, content=content, headers=extra))


@FUZZ
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"]),
    parts=st.lists(st.one_of(st.sampled_from(["v1", "v2", "models", "iris", "versions", "1", "infer", "ready",
                                              "health", "iris:predict", "%00", "%ff", "..", ":predict"]),
                             st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="?#"),
                                     max_size=6)), max_size=6),
)  # fmt: skip
def test_paths_of_any_kind(iris_runtime: Any, method: str, parts: list[str]) -> None:
    answer = raw(iris_runtime, f"{method} /{'/'.join(parts)} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
    assert answer.startswith((b"HTTP/1.1 2", b"HTTP/1.1 4")), answer


@FUZZ
@given(
    start=st.sampled_from([b"", b"GET / HTTP/1.1\r\n", b"POST /v2/models/iris/infer HTTP/1.1\r\nhost: x\r\n",
                           b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                           b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n"]),
    rest=st.binary(max_size=200),
)  # fmt: skip
def test_connections_of_any_kind(iris_runtime: Any, client: httpx.Client, start: bytes, rest: bytes) -> None:
    answer = raw(iris_runtime, start + rest)
    assert not answer.startswith(b"HTTP/1.1 5"), answer
    response = client.post(iris_runtime.url + V2, content=GOOD)
    assert response.json()["outputs"][0]["data"] == [0]


def test_nothing_of_this_was_a_failure_of_the_server(iris_runtime: Any) -> None:
    assert "Traceback" not in iris_runtime.log
    assert httpx.get(iris_runtime.url + "/v2/health/ready").status_code == 200


def raw(runtime: Any, request: bytes) -> bytes:
    """Send, say that no more comes, and read what is answered."""
    host, port = runtime.url.removeprefix("http://").split(":")
    answer = b""
    with socket.create_connection((host, int(port)), timeout=60) as connection, contextlib.suppress(ConnectionError):
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        while chunk := connection.recv(65536):
            answer += chunk
    return answer
