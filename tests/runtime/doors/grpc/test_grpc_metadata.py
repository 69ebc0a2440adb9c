"""gRPC's metadata and framing as pure functions."""

from __future__ import annotations

from urllib.parse import unquote

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from haizen_runtime.doors.grpc.framing import Deframer, answer_encoding, frame, only_message, raw_tensors_at
from haizen_runtime.doors.grpc.metadata import MAX_MESSAGE_BYTES, deadline_of, percent_encoded, timeout_seconds
from haizen_runtime.protocol.errors import InvalidInput
from tests.runtime.doors.grpc.conftest import infer_request

timeless = settings(deadline=None)
encodings = st.sampled_from([None, b"gzip", b"deflate"])


@pytest.mark.parametrize(
    ("header", "seconds"),
    [(None, None), (b"1H", 3600), (b"2M", 120), (b"3S", 3), (b"4m", 0.004), (b"5u", 5e-6), (b"99999999n", 0.099999999)],
)
def test_timeouts(header: bytes | None, seconds: float | None) -> None:
    assert timeout_seconds(header) == pytest.approx(seconds)


@pytest.mark.parametrize("header", [b"", b"S", b"1", b"1s", b"-1S", b"1.5S", b"123456789m", b" 1S"])
def test_timeouts_that_are_none(header: bytes) -> None:
    with pytest.raises(InvalidInput, match="grpc-timeout"):
        timeout_seconds(header)


@pytest.mark.parametrize(
    ("timeout", "limit", "deadline"),
    [(None, 0, None), (None, 5, 105), (2, 5, 102), (9, 5, 105), (9, 0, 109), (0, 5, 100)],
)
def test_deadlines(timeout: float | None, limit: float, deadline: float | None) -> None:
    assert deadline_of(100, timeout, limit) == deadline


@timeless
@given(st.text())
def test_messages_are_printable_and_come_back(message: str) -> None:
    encoded = percent_encoded(message)
    assert all(0x20 <= byte <= 0x7E for byte in encoded)
    assert unquote(encoded.decode(), errors="strict") == message.encode("utf-8", "replace").decode()


def test_long_messages_are_cut_between_characters() -> None:
    for shift in range(4):
        encoded = percent_encoded("x" * shift + "\N{GRINNING FACE}" * 3000)
        assert len(encoded) <= 3 * MAX_MESSAGE_BYTES
        assert set(unquote(encoded.decode(), errors="strict")[shift:]) == {"\N{GRINNING FACE}"}


@timeless
@given(st.lists(st.binary(max_size=3000), max_size=5), encodings, st.integers(1, 700))
def test_messages_come_out_of_a_stream_as_they_went_in(
    messages: list[bytes], encoding: bytes | None, step: int
) -> None:
    body = b"".join(frame((message[:1], message[1:]), encoding) for message in messages)
    deframer = Deframer(encoding, 3000, 3000)
    found = [each for start in range(0, len(body), step) for each in deframer.feed(body[start : start + step])]
    deframer.finish()
    assert found == messages


@timeless
@given(st.binary(max_size=3000), encodings)
def test_the_only_message(message: bytes, encoding: bytes | None) -> None:
    data, start, end = only_message(frame((message,), encoding), encoding, 3000, 3000)
    assert data[start:end] == message


@timeless
@given(st.binary(max_size=300), st.integers(0, 7))
def test_the_only_message_of_a_padded_body(message: bytes, padding: int) -> None:
    whole = bytes(padding) + frame((message,))
    data, start, end = only_message(memoryview(whole)[padding:], None, 3000, 3000)
    assert data is whole, "nothing is copied"
    assert data[start:end] == message


def test_raw_tensors_are_found_in_the_beginning_of_a_body() -> None:
    message = infer_request("iris", "FP32", np.zeros((1, 100), np.float32), id="7", model_version="1")
    message.parameters["a"].string_param = "b"
    body = frame((message.SerializeToString(),))
    found = raw_tensors_at(body)
    assert body[found:] == bytes(400)
    assert {raw_tensors_at(body[:length]) for length in range(found)} == {0}, "not there yet"
    assert raw_tensors_at(body[:found]) == found
    assert raw_tensors_at(b"\1" + body[1:]) == 0, "compressed"
    assert raw_tensors_at(frame((infer_request("iris", "FP32", np.zeros(3), raw=False).SerializeToString(),))) == 0


@timeless
@given(st.binary(max_size=60))
def test_raw_tensors_in_any_bytes(body: bytes) -> None:
    assert 0 <= raw_tensors_at(body) <= len(body)


@pytest.mark.parametrize(
    ("used", "accepted", "answer"),
    [
        (None, b"gzip", None),
        (b"gzip", None, None),
        (b"gzip", b"identity,gzip", b"gzip"),
        (b"gzip", b"identity, deflate", None),
        (b"deflate", b"identity, deflate, gzip", b"deflate"),
    ],
)
def test_answers_are_compressed_as_requests_were(
    used: bytes | None, accepted: bytes | None, answer: bytes | None
) -> None:
    assert answer_encoding(used, accepted) == answer
