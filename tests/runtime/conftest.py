"""Real models on disk and real runtime processes on free ports."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

if TYPE_CHECKING:
    from tests.runtime.collector import Collector

SERVE = ("-m", "haizen_runtime.main", "--host=127.0.0.1", "--http_port=0")


class RuntimeProcess:
    """One haizen-runtime under test; its log is collected all the time."""

    def __init__(self, command: list[str], environment: dict[str, str], python: str = sys.executable) -> None:
        base = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
        self.process = subprocess.Popen(
            [python, *command],
            stderr=subprocess.PIPE,
            text=True,
            env={**base, "HAIZEN_TERMINATION_LOG": os.devnull, **environment},
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line)

    @property
    def log(self) -> str:
        return "".join(self.lines)

    @property
    def url(self) -> str:
        found: list[str] = []
        wait_for(
            lambda: bool(found.extend(re.findall(r"listening on (https?://[\w.:]+)", self.log)) or found), self.describe
        )
        return found[0]

    def wait_ready(self, limit_seconds: float = 120) -> None:
        def ready() -> bool:
            assert self.process.poll() is None, self.describe()
            with contextlib.suppress(httpx.TransportError):
                return httpx.get(f"{self.url}/v2/health/ready", timeout=10).status_code == 200
            return False

        wait_for(ready, self.describe, limit_seconds)

    def wait_exit(self, limit_seconds: float = 120) -> int:
        code = self.process.wait(timeout=limit_seconds)
        self._reader.join(timeout=10)
        return code

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def describe(self) -> str:
        return f"runtime with log:\n{self.log}"

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reader.join(timeout=10)
        assert self.process.stderr is not None
        self.process.stderr.close()


def wait_for(
    condition: Callable[[], bool], describe: Callable[[], str] = lambda: "", limit_seconds: float = 120
) -> None:
    end = time.monotonic() + limit_seconds
    while not condition():
        assert time.monotonic() < end, f"nothing after {limit_seconds} s: {describe()}"
        time.sleep(0.05)


async def until(condition: Callable[[], bool], limit_seconds: float = 30) -> None:
    """As `wait_for`, while the event loop goes on."""
    async with asyncio.timeout(limit_seconds):
        while not condition():
            await asyncio.sleep(0.005)


@pytest.fixture
def start_runtime(start_program: Callable[..., RuntimeProcess]) -> Callable[..., RuntimeProcess]:
    def start(*arguments: str, **environment: str) -> RuntimeProcess:
        return start_program(*SERVE, *arguments, **environment)

    return start


@pytest.fixture
def start_program() -> Iterator[Callable[..., RuntimeProcess]]:
    started: list[RuntimeProcess] = []

    def start(*command: str, **environment: str) -> RuntimeProcess:
        started.append(RuntimeProcess(list(command), environment))
        return started[-1]

    yield start
    for runtime in started:
        runtime.stop()


@pytest.fixture
def collect() -> Iterator[Callable[..., Collector]]:
    """Start receivers of traces."""
    from tests.runtime.collector import Collector

    started: list[Collector] = []

    def start(behave: Callable[[], int | None] = lambda: 200) -> Collector:
        started.append(Collector(behave))
        return started[-1]

    yield start
    for collector in started:
        collector.released.set()
        collector.shutdown()
        collector.server_close()


@pytest.fixture(scope="session")
def iris_data() -> tuple[Any, Any]:
    from sklearn.datasets import load_iris

    features, labels = load_iris(return_X_y=True)
    return features, labels


@pytest.fixture(scope="session")
def iris_model(iris_data: tuple[Any, Any]) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(max_iter=1000).fit(*iris_data)


@pytest.fixture(scope="session")
def iris_dir(tmp_path_factory: pytest.TempPathFactory, iris_model: Any) -> Path:
    import joblib

    directory = tmp_path_factory.mktemp("iris")
    joblib.dump(iris_model, directory / "model.joblib")
    return directory


@pytest.fixture(scope="session")
def iris_runtime(iris_dir: Path) -> Iterator[RuntimeProcess]:
    yield from served_iris(iris_dir)


@pytest.fixture(scope="session")
def hasty_runtime(iris_dir: Path) -> Iterator[RuntimeProcess]:
    """One that waits two seconds for headers and bodies: for tests in which they do not come."""
    yield from served_iris(iris_dir, "--read_timeout_seconds=2", "--header_timeout_seconds=2")


def served_iris(iris_dir: Path, *arguments: str) -> Iterator[RuntimeProcess]:
    runtime = RuntimeProcess(
        [*SERVE, "--model_name=iris", f"--model_dir={iris_dir}", "--allow-code", "--max_body_bytes=1000000",
         *arguments],
        {"K_REVISION": "iris-predictor-00001"},
    )  # fmt: skip
    try:
        runtime.wait_ready()
        yield runtime
    finally:
        runtime.stop()
