"""A real runtime under haizen's own Python, called by clients from an environment that has nothing of haizen."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.runtime.conftest import RuntimeProcess
from tests.support.folder_server import PROGRAM

ROOT = Path(__file__).resolve().parents[2]
PYTHON = str(ROOT / ".venv" / "bin" / "python")


@dataclass(frozen=True)
class Server:
    """A running server and what its iris model must answer."""

    url: str
    features: Any
    labels: Any

    @property
    def target(self) -> str:
        """Host and port."""
        return self.url.removeprefix("http://")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("clients") / "models"
    folder.mkdir()
    subprocess.run([PYTHON, str(Path(__file__).with_name("model_folder.py")), str(folder)], check=True)
    expected = np.load(folder.parent / "expected.npz")
    runtime = RuntimeProcess(
        ["-c", PROGRAM, str(folder), "--host=127.0.0.1", "--http_port=0", "--compress_above_bytes=100"],
        {"HAIZEN_MODEL_CONTROL_MODE": "explicit"},
        PYTHON,
    )
    try:
        runtime.wait_ready()
        yield Server(runtime.url, expected["features"], expected["labels"])
        assert runtime.process.poll() is None, runtime.log
        assert "Traceback" not in runtime.log
    finally:
        runtime.stop()
