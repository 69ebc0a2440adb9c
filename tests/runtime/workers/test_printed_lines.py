"""What model code prints and logs: lines with the model's name and the process, in the format of all others."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable
from typing import Any

import pytest

from haizen_runtime.observing.printed import MAX_LINE, PrintedLines
from tests.runtime.conftest import wait_for
from tests.runtime.workers.conftest import infer

CODE = """
    import logging, os, sys
    from haizen_runtime import Model

    class Code(Model):
        def predict(self, inputs):
            print("hello", "there")
            print("careful", file=sys.stderr)
            logging.getLogger("mine").warning("logged %d", 5)
            return [os.getpid()]
    """


def test_as_json(serve_code: Callable[..., Any]) -> None:
    runtime = serve_code(CODE, "--log_format=json")
    pid = infer(runtime.url, [1.0]).json()["outputs"][0]["data"][0]
    wait_for(lambda: "logged 5" in runtime.log, runtime.describe)
    lines = [json.loads(line) for line in runtime.lines]
    told = [(each["severity"], each["logger"], each["message"]) for each in lines if each.get("worker") == pid]
    assert told[-3:] == [
        ("INFO", "haizen_runtime.model", "hello there"),
        ("WARNING", "haizen_runtime.model", "careful"),
        ("WARNING", "mine", "logged 5"),
    ]
    assert {each["model"] for each in lines if "worker" in each} == {"code"}


def test_as_text(serve_code: Callable[..., Any]) -> None:
    runtime = serve_code(CODE)
    pid = infer(runtime.url, [1.0]).json()["outputs"][0]["data"][0]
    wait_for(lambda: "logged 5" in runtime.log, runtime.describe)
    assert f" INFO hello there model=code worker={pid}\n" in runtime.log


@pytest.mark.parametrize(
    ("written", "told"),
    [
        pytest.param(["a\nb\n"], ["a", "b"], id="lines"),
        pytest.param(["a", "b", "\n"], ["ab"], id="pieces"),
        pytest.param(["\n", "  \n"], [], id="nothing"),
        pytest.param(["windows\r\n"], ["windows"], id="windows"),
        pytest.param(["no end"], [], id="not-complete"),
        pytest.param(["x" * (MAX_LINE + 1)], ["x" * (MAX_LINE + 1)], id="no-end-in-sight"),
    ],
)
def test_lines_out_of_pieces(written: list[str], told: list[str], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    stream = PrintedLines(io.StringIO(), logging.INFO)
    for piece in written:
        assert stream.write(piece) == len(piece)
    assert caplog.messages == told


def test_a_log_that_prints_its_own_failure_does_not_go_round() -> None:
    original = io.StringIO()
    stream = PrintedLines(original, logging.WARNING)

    class Broken(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            stream.write("the handler failed\n")

    logger, handler = logging.getLogger("haizen_runtime.model"), Broken()
    logger.addHandler(handler)
    try:
        stream.write("hello\n")
    finally:
        logger.removeHandler(handler)
    assert original.getvalue() == "the handler failed\n"
