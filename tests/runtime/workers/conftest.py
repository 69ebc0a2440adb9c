"""Real runtimes on a directory with a model.py."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

Start = Callable[..., Any]


def infer(url: str, data: list[Any], datatype: str = "FP64", **more: Any) -> httpx.Response:
    body = {"inputs": [{"name": "x", "shape": [len(data)], "datatype": datatype, "data": data}], **more}
    return httpx.post(f"{url}/v2/models/code/infer", json=body, timeout=60)


@pytest.fixture
def start_code(tmp_path: Path, start_runtime: Start) -> Start:
    """Start a runtime with this text as its model.py; further arguments are the runtime's."""

    def start(code: str, *arguments: str, **environment: str) -> Any:
        (tmp_path / "model.py").write_text(textwrap.dedent(code))
        return start_runtime("--model_name=code", f"--model_dir={tmp_path}", "--allow_code", *arguments, **environment)

    return start


@pytest.fixture
def serve_code(start_code: Start) -> Start:
    """The same, ready."""

    def serve(code: str, *arguments: str, **environment: str) -> Any:
        runtime = start_code(code, *arguments, **environment)
        runtime.wait_ready()
        return runtime

    return serve
