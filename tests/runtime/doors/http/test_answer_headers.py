"""Which of a model's headers are sent with its answer, and what they may be."""

from __future__ import annotations

import pytest

from haizen_runtime.doors.http.answer_headers import with_model_headers
from haizen_runtime.doors.http.responses import JSON, Answer
from haizen_runtime.protocol.errors import InferenceFailed


@pytest.mark.parametrize(
    ("headers", "sent"),
    [
        pytest.param({"x-cost": "7"}, [(b"x-cost", b"7")], id="as-it-is"),
        pytest.param({"X-Cost": "7"}, [(b"x-cost", b"7")], id="lower-case-as-http2-wants-it"),
        pytest.param({"x-note": "grün"}, [(b"x-note", b"gr\xfcn")], id="latin-1"),
        pytest.param({"x-note": " a\tb "}, [(b"x-note", b"a\tb")], id="spaces-around-it"),
        pytest.param({"x-note": ""}, [(b"x-note", b"")], id="empty"),
        pytest.param({"Content-Length": "1", "content-type": "text/x"}, [], id="the-bodys"),
        pytest.param({"content-encoding": "gzip", "inference-header-content-length": "1"}, [], id="its-form"),
        pytest.param({"Connection": "close", "transfer-encoding": "chunked", "te": "x"}, [], id="the-connections"),
        pytest.param({"Date": "Mon, 01 Jan 2024 00:00:00 GMT", "haizen-revision": "a"}, [], id="the-servers"),
        pytest.param({"ce-id": "1"}, [], id="there-already"),
        pytest.param({"x-request-id": "1"}, [], id="the-callers-comes-back"),
    ],
)
def test_what_is_sent(headers: dict[str, str], sent: list[tuple[bytes, bytes]]) -> None:
    answer = with_model_headers(Answer([b"{}"], JSON, [(b"ce-id", b"7")]), headers, {b"x-request-id": b"9"})
    assert answer.headers == [(b"ce-id", b"7"), *sent]
    assert (answer.pieces, answer.content_type) == ([b"{}"], JSON)


def test_a_request_id_of_the_models_is_sent_when_the_caller_has_none() -> None:
    assert with_model_headers(b"{}", {"x-request-id": "1"}, {}).headers == [(b"x-request-id", b"1")]


@pytest.mark.parametrize(
    ("name", "value"),
    [("x cost", "7"), ("", "7"), ("x:y", "7"), ("kö", "7"), ("\ud800", "7"),
     ("x", "a\r\nb: c"), ("x", "a\0"), ("x", "€"), ("x", "\ud800")],
)  # fmt: skip
def test_what_http_cannot_carry(name: str, value: str) -> None:
    with pytest.raises(InferenceFailed, match="a header that HTTP cannot carry"):
        with_model_headers(b"{}", {name: value}, {})
