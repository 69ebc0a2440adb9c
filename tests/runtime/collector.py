"""A real receiver of traces over OTLP."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

AT_ONCE = {"OTEL_BSP_SCHEDULE_DELAY": "50"}
"""Milliseconds until spans leave; the SDK's own 5 s would only make the tests slow."""


class Collector(ThreadingHTTPServer):
    """An OTLP/HTTP receiver. `behave` says what becomes of a request: an HTTP status, or None for no answer at all."""

    daemon_threads = True

    def __init__(self, behave: Callable[[], int | None]) -> None:
        self.behave = behave
        self.spans: list[dict[str, Any]] = []
        self.resources: list[dict[str, Any]] = []
        self.requests = 0
        self.released = threading.Event()
        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def named(self, start: str) -> list[dict[str, Any]]:
        return [span for span in self.spans if span["name"].startswith(start)]


class Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.requests += 1
        status = self.server.behave()
        if status is None:
            self.server.released.wait()
            return
        if status == 200 and self.path == "/v1/traces":
            encoded = self.headers.get("content-encoding") == "gzip"
            self._take(ExportTraceServiceRequest.FromString(gzip.decompress(body) if encoded else body))
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()

    def _take(self, message: Any) -> None:
        for each in message.resource_spans:
            self.server.resources.append(attributes(each.resource))
            for scope in each.scope_spans:
                self.server.spans += [
                    {
                        "name": span.name, "kind": span.kind, "trace": span.trace_id.hex(), "id": span.span_id.hex(),
                        "parent": span.parent_span_id.hex(), "start": span.start_time_unix_nano,
                        "end": span.end_time_unix_nano, "status": span.status.code, **attributes(span),
                    }
                    for span in scope.spans
                ]  # fmt: skip

    def log_message(self, *arguments: object) -> None:
        """Nothing."""


def attributes(message: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in message.attributes}
