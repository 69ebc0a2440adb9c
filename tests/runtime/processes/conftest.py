"""Several processes behind one port, and which of them answers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.runtime.conftest import RuntimeProcess

BODY = {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP64", "data": [5.1, 3.5, 1.4, 0.2]}]}
INFER = "/v2/models/iris/infer"
WHO = """
import os

class Who:
    def predict(self, inputs):
        return {"process": [os.getppid()], "worker": [os.getpid()]}
"""
"""A model that says which serving process has asked it, and which worker it is."""


@pytest.fixture
def start_who(tmp_path: Path, start_runtime: Callable[..., RuntimeProcess]) -> Callable[..., RuntimeProcess]:
    """Start two processes with this code, called iris."""

    def start(*arguments: str, code: str = WHO, **environment: str) -> RuntimeProcess:
        folder = tmp_path / "model"
        folder.mkdir()
        (folder / "model.py").write_text(code)
        return start_runtime(
            "--model_name=iris", f"--model_dir={folder}", "--allow_code", "--processes=2", *arguments, **environment
        )

    return start


def children(runtime: RuntimeProcess) -> list[int]:
    """The serving processes, by the kernel's list."""
    return children_of(runtime.process.pid)


def children_of(pid: int) -> list[int]:
    """Processes that a process has started, on whichever of its threads; none when it has ended."""
    found: list[int] = []
    with suppress(FileNotFoundError, ProcessLookupError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with suppress(FileNotFoundError, ProcessLookupError):  # this thread has ended just now
                found += map(int, task.joinpath("children").read_text().split())
    return found


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@contextmanager
def clients(runtime: RuntimeProcess, count: int, **options: Any) -> Iterator[list[httpx.Client]]:
    """Clients with a connection each. The supervisor gives them away evenly."""
    made = [httpx.Client(base_url=runtime.url, timeout=60, **options) for _ in range(count)]
    try:
        yield made
    finally:
        for each in made:
            each.close()


def answer(client: httpx.Client, name: str = "process") -> int:
    """What the model of `start_who` says: a process, or by its status why there is no answer."""
    response = client.post(INFER, json=BODY)
    if response.status_code != 200:
        return response.status_code
    number: int = next(each["data"][0] for each in response.json()["outputs"] if each["name"] == name)
    return number


def metric(text: str, name: str) -> float:
    """The value of one sample in an exposition; 0 when it is not there."""
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0.0
