"""Fixtures for the command line's tests."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from haizen_cli.main import main
from haizen_cli.samples import digits


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the digits sample: sklearn/model.joblib and onnx/model.onnx."""
    folder = tmp_path_factory.mktemp("models")
    digits.write(folder)
    return folder


@pytest.fixture
def haizen(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run the command line in this process: exit code, standard output, standard error."""

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["haizen", *arguments])
        monkeypatch.setenv("COLUMNS", "250")
        try:
            main()
            code = 0
        except SystemExit as ending:
            code = int(ending.code or 0)
        out, err = capsys.readouterr()
        return code, out, err

    return run
