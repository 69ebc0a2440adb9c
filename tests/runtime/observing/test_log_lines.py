"""Log lines as text and as JSON, and what belongs to a request in them."""

from __future__ import annotations

import contextvars
import json
import logging
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haizen_runtime.observing.identity import IDENTITY, Identity, identified, identity_of
from haizen_runtime.observing.logs import JsonFormatter, OncePerMinute, TextFormatter

TRACE = b"4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = b"00-" + TRACE + b"-00f067aa0ba902b7-01"


def record(message: str = "loaded %s", *arguments: object, **more: Any) -> logging.LogRecord:
    made = logging.LogRecord("haizen_runtime", logging.WARNING, __file__, 1, message, arguments, None)
    made.created, made.msecs = 1767312000.25, 250.0
    made.__dict__.update(more)
    return made


def within(identity: Identity | None, formatter: logging.Formatter, line: logging.LogRecord) -> str:
    def run() -> str:
        IDENTITY.set(identity)
        return formatter.format(line)

    return contextvars.Context().run(run)


def test_a_line_as_json() -> None:
    line = within(Identity("r1", TRACE.decode(), "team-a"), JsonFormatter({"model": "iris", "worker": 7}),
                  record("loaded %s", "it\nall", fields={"status": 200}))  # fmt: skip
    assert "\n" not in line
    assert json.loads(line) == {
        "time": "2026-01-02T00:00:00.250Z", "severity": "WARNING", "logger": "haizen_runtime",
        "message": "loaded it\nall", "model": "iris", "worker": 7, "status": 200, "request_id": "r1",
        "trace_id": TRACE.decode(), "key": "team-a",
    }  # fmt: skip


def test_a_failure_as_json_has_its_traceback() -> None:
    try:
        raise ValueError("inside")
    except ValueError:
        failed = record("failed", exc_info=sys.exc_info())
    line = json.loads(JsonFormatter({}).format(failed))
    assert line["exception"].startswith("Traceback")
    assert line["exception"].endswith("ValueError: inside")


def test_a_line_as_text() -> None:
    formatter = TextFormatter({"model": "iris"})
    assert within(None, formatter, record("loaded %s", "it")).endswith(" WARNING loaded it model=iris")
    assert within(Identity("r1"), formatter, record("x", fields={"status": 1})).endswith(
        " WARNING x model=iris status=1 request_id=r1"
    )


@pytest.mark.parametrize(
    ("headers", "request_id", "trace_id"),
    [
        pytest.param({}, "", "", id="nothing"),
        pytest.param({b"x-request-id": b"abc-1", b"traceparent": PARENT}, "abc-1", TRACE.decode(), id="both"),
        pytest.param({b"x-request-id": b"a\r\nERROR fake"}, "a??ERROR fake", "", id="lines"),
        pytest.param({b"x-request-id": b"x" * 201}, "", "", id="too-long"),
        pytest.param({b"traceparent": b"00-" + b"0" * 32 + b"-00f067aa0ba902b7-01"}, "", "", id="zero"),
        pytest.param({b"traceparent": b"00-" + TRACE.upper() + b"-00f067aa0ba902b7-01"}, "", "", id="capitals"),
        pytest.param({b"traceparent": TRACE}, "", "", id="no-parts"),
    ],
)
def test_who_a_request_says_it_is(headers: dict[bytes, bytes], request_id: str, trace_id: str) -> None:
    identity = identity_of(headers)
    assert (identity.request_id, identity.trace_id) == (request_id, trace_id)
    expected = {name: value for name, value in (("request_id", request_id), ("trace_id", trace_id)) if value}
    assert identified(headers, 200) == {"fields": expected}


@given(st.dictionaries(st.sampled_from([b"x-request-id", b"traceparent"]), st.binary(max_size=300)))
def test_no_header_breaks_a_line(headers: dict[bytes, bytes]) -> None:
    for formatter in (TextFormatter({}), JsonFormatter({})):
        line = within(identity_of(headers), formatter, record("x"))
        assert len(line.splitlines()) == 1


def test_a_logger_that_repeats_itself_is_heard_once_a_minute() -> None:
    handler = OncePerMinute("opentelemetry")
    said = [logging.LogRecord("opentelemetry.sdk", logging.ERROR, "", 1, "no collector", (), None) for _ in range(3)]
    assert [handler.filter(each) for each in said] == [True, False, False]
    assert all(handler.filter(record()) for _ in range(3))
    assert handler.filter(logging.LogRecord("opentelemetryx", logging.ERROR, "", 1, "other", (), None))
