"""A real `haizen run` for tests: a process of its own on a free port, its output, its children, and load on it."""

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

START_SECONDS = 120.0
"""Generous: several runtimes may start on a busy machine with cold files."""


def wait_until(condition: Callable[[], Any], what: str, seconds: float = START_SECONDS) -> Any:
    """Poll until the condition holds; returns its value."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"still waiting for {what}"
        time.sleep(0.05)
    return value


@contextlib.contextmanager
def refusing_port() -> Iterator[int]:
    """A port on which nobody listens, and nobody else can: it is taken."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


def descendants(pid: int) -> set[int]:
    """All processes below a process (Linux)."""
    found: set[int] = set()
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            pids = [int(text) for text in children.read_text().split()]
        except OSError:
            continue
        for child in pids:
            found |= {child} | descendants(child)
    return found


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that ended and waits to be collected does not.

    While other threads of it are still ending, its sockets are open, and the kernel accepts connections for it.
    """
    try:
        ended = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
        return not ended or len(list(Path(f"/proc/{pid}/task").iterdir())) > 1
    except OSError:
        return False


class LocalRun:
    """A running `haizen run`."""

    def __init__(
        self,
        *files: Path | str,
        cache: Path,
        arguments: tuple[str, ...] = ("--port", "0"),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        command = [sys.executable, "-m", "haizen_cli.main", "run"]
        for file in files:
            command += ["-f", str(file)]
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [*command, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, **(environment or {}), "HAIZEN_CACHE": str(cache), "COLUMNS": "200", "NO_COLOR": "1"},
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> "LocalRun":
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait()
        self._reader.join()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    @property
    def output(self) -> str:
        """Everything written so far."""
        return "\n".join(self.lines)

    def wait_for(self, pattern: str, seconds: float = START_SECONDS) -> re.Match[str]:
        """Wait until the output holds a match."""
        deadline = time.monotonic() + seconds
        while not (found := re.search(pattern, self.output)):
            assert self.process.poll() is None, f"ended with {self.process.returncode}:\n{self.output}"
            assert time.monotonic() < deadline, f"no {pattern!r} in:\n{self.output}"
            time.sleep(0.05)
        return found

    def wait_served(self) -> "LocalRun":
        """Wait until the table of URLs was printed."""
        self.wait_for("Ctrl-C ends")
        return self

    @property
    def gateway(self) -> str:
        """The gateway's URL."""
        return self.wait_for(r"http://127\.0\.0\.1:\d+")[0]

    def ask(
        self, path: str, body: Any = None, *, host: str | None = None, seconds: float = 60
    ) -> tuple[int, dict[str, str], Any]:
        """One request on a connection of its own: status, headers, JSON body."""
        connection = http.client.HTTPConnection(urlsplit(self.gateway).netloc, timeout=seconds)
        try:
            return _exchange(connection, path, body, host)
        finally:
            connection.close()

    def interrupt(self) -> int:
        """Ctrl-C; returns the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(60)


def _exchange(
    connection: http.client.HTTPConnection, path: str, body: Any, host: str | None
) -> tuple[int, dict[str, str], Any]:
    headers = {"Host": host} if host else {}
    if body is None:
        connection.request("GET", path, headers=headers)
    else:
        connection.request("POST", path, json.dumps(body), {**headers, "Content-Type": "application/json"})
    response = connection.getresponse()
    content = response.read()
    return response.status, {k.lower(): v for k, v in response.getheaders()}, json.loads(content) if content else None


@dataclass
class Load:
    """Requests at a steady pace on a few kept-alive connections; each answer is counted."""

    run: LocalRun
    path: str
    body: Any
    connections: int = 4
    pause_seconds: float = 0.01
    statuses: Counter[int] = field(default_factory=Counter)
    revisions: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)

    def __enter__(self) -> "Load":
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._send) for _ in range(self.connections)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _send(self) -> None:
        connection = http.client.HTTPConnection(urlsplit(self.run.gateway).netloc, timeout=60)
        try:
            while not self._stop.is_set():
                try:
                    status, headers, _ = _exchange(connection, self.path, self.body, None)
                    self.statuses[status] += 1
                    self.revisions[headers.get("haizen-revision", "")] += 1
                except Exception as error:
                    self.errors.append(repr(error))
                    connection.close()
                self._stop.wait(self.pause_seconds)
        finally:
            connection.close()

    def wait_for_answers(self, count: int) -> None:
        """Wait until so many more answers came."""
        goal = sum(self.statuses.values()) + count
        wait_until(lambda: sum(self.statuses.values()) >= goal or self.errors, f"{count} answers")


def service_yaml(
    name: str, uri: str | Path, *, format_name: str = "sklearn", namespace: str = "default", extra: str = ""
) -> str:
    """An InferenceService; ``extra`` is YAML at the level of the predictor's fields (indented by four)."""
    return f"""\
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata:
  name: {name}
  namespace: {namespace}
spec:
  predictor:
{extra}    model:
      modelFormat:
        name: {format_name}
      storageUri: {uri}
"""


def digit_rows(count: int) -> Iterator[list[float]]:
    """Held-out digits."""
    from haizen_cli.samples.digits import held_out_digits

    yield from held_out_digits(count)[0]
