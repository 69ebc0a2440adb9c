"""Log lines, as text or as JSON objects, with what is known about the request they belong to."""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Final

from haizen_runtime.observing.identity import IDENTITY

FORMATS: Final = ("text", "json")


def configure(level: str, log_format: str, common: dict[str, object] | None = None) -> None:
    """Log to stderr. `common` fields, such as the model of a worker process, are in every line."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter((JsonFormatter if log_format == "json" else TextFormatter)(common or {}))
    logging.basicConfig(level=level.upper(), handlers=[handler])
    logging.getLogger("uvicorn").setLevel(logging.ERROR)  # it warns of every client that speaks no HTTP


def configured_format() -> str:
    """The format that `configure` has set, for the processes that this one starts."""
    return "json" if any(isinstance(each.formatter, JsonFormatter) for each in logging.getLogger().handlers) else "text"


class TextFormatter(logging.Formatter):
    """`2026-01-02 03:04:05,678 INFO message name=value …`."""

    def __init__(self, common: dict[str, object]) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s")
        self._common = common

    def formatMessage(self, record: logging.LogRecord) -> str:
        """The line without the traceback."""
        fields = "".join(f" {name}={value}" for name, value in _fields(record, self._common).items())
        return super().formatMessage(record) + fields


class JsonFormatter(logging.Formatter):
    """One JSON object a line. `severity`, `time` and `message` are names that Google Cloud's collector knows."""

    def __init__(self, common: dict[str, object]) -> None:
        super().__init__()
        self._common = common

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, object] = {
            "time": f"{whole}.{int(record.msecs):03d}Z",
            "severity": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **_fields(record, self._common),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class OncePerMinute(logging.Filter):
    """Lets one line a minute through of a logger (or its children) that says the same again and again, as one line."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._prefix = name
        self._next = 0.0

    def filter(self, record: logging.LogRecord) -> bool:
        """True to let it through."""
        if record.name != self._prefix and not record.name.startswith(self._prefix + "."):
            return True
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + 60
        record.exc_info = record.exc_text = None
        return True


def _fields(record: logging.LogRecord, common: dict[str, object]) -> dict[str, object]:
    fields = {**common, **getattr(record, "fields", {})}
    identity = IDENTITY.get()
    if identity is not None:
        known = {"request_id": identity.request_id, "trace_id": identity.trace_id, "key": identity.key}
        fields |= {name: value for name, value in known.items() if value}
    return fields
