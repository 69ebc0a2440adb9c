"""The one JSON line that tells the operator why a process ended."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from haizen_runtime.protocol.errors import ChecksumMismatch, InvalidConfiguration
from haizen_runtime.termination import MAX_BYTES, report_fatal


@pytest.mark.parametrize(
    ("message", "kept"),
    [
        pytest.param("wrong", "wrong", id="short"),
        pytest.param("two\n lines\tof  it", "two lines of it", id="lines-become-one"),
        pytest.param("é" * 10_000, None, id="two-byte-letters"),
        pytest.param("🙂" * 10_000, None, id="four-byte-letters"),
        pytest.param('"' * 10_000, None, id="escaped-letters"),
        pytest.param("a\0b\udc80", "a\0b?", id="what-is-no-text"),
    ],
)
def test_kubernetes_keeps_the_whole_line(tmp_path: Path, message: str, kept: str | None) -> None:
    log = tmp_path / "termination-log"
    assert report_fatal(ChecksumMismatch(message), str(log)) == 4
    content = log.read_bytes()
    assert len(content) <= MAX_BYTES
    written = json.loads(content)
    assert (written["reason"], written["exitCode"]) == ("ChecksumMismatch", 4)
    assert written["message"] == kept if kept is not None else len(written["message"].encode()) > 1000


@pytest.mark.parametrize("path", ["/dev/haizen-nowhere", "/nowhere/termination-log"])
def test_a_file_that_cannot_be_written_keeps_nobody_from_ending(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert report_fatal(InvalidConfiguration("wrong"), path) == 2
    assert capsys.readouterr().err.startswith("haizen-runtime: InvalidConfiguration: wrong\n")
    assert not Path(path).exists()
