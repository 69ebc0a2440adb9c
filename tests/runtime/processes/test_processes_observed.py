"""Log lines and traces of several processes: each writes and exports its own, and none is lost or doubled."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from tests.runtime.collector import AT_ONCE, Collector
from tests.runtime.conftest import RuntimeProcess, wait_for
from tests.runtime.processes.conftest import BODY, INFER, answer, children, clients

PARENT = "00f067aa0ba902b7"


def test_a_line_for_each_request(start_who: Callable[..., RuntimeProcess]) -> None:
    """From several processes into one stream, none within another."""
    runtime = start_who("--access_log=all", "--log_format=json", "--drain_quiet_seconds=0.2")
    runtime.wait_ready()
    with clients(runtime, 4) as sessions, ThreadPoolExecutor(4) as pool:

        def send(number: int) -> None:
            for each in range(50):
                headers = {"x-request-id": f"{number}-{each}"}
                assert sessions[number].post(INFER, json=BODY, headers=headers).status_code == 200

        list(pool.map(send, range(4)))
        assert {answer(session) for session in sessions} == set(children(runtime))
    runtime.terminate()
    assert runtime.wait_exit() == 0
    lines = [json.loads(line) for line in runtime.lines]
    found = sorted(each["request_id"] for each in lines if "-" in each.get("request_id", ""))
    assert found == sorted(f"{number}-{each}" for number in range(4) for each in range(50))


def test_each_process_exports_its_spans(
    collect: Callable[..., Collector], start_who: Callable[..., RuntimeProcess]
) -> None:
    collector = collect()
    runtime = start_who(OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, **AT_ONCE)
    runtime.wait_ready()
    traces = [f"{number:032x}" for number in range(1, 9)]
    with clients(runtime, 8) as sessions:
        for session, trace in zip(sessions, traces, strict=True):
            session.headers["traceparent"] = f"00-{trace}-{PARENT}-01"
        assert {answer(session) for session in sessions} == set(children(runtime))
    wait_for(lambda: len(collector.spans) >= 3 * 8, runtime.describe)
    assert len(collector.spans) == 3 * 8
    for trace in traces:
        spans = {span["name"]: span for span in collector.spans if span["trace"] == trace}
        request = spans.pop("POST /v2/models/{model}/infer")
        assert request["parent"] == PARENT
        assert {name: span["parent"] for name, span in spans.items()} == dict.fromkeys(
            ("queue", "execute"), request["id"]
        )
