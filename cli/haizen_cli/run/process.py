"""One runtime process: start, wait until it answers ready, drain, and say why it ended."""

import asyncio
import json
import os
import signal
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

REMEMBERED_LINES = 20
"""How many of the last lines of a process are kept to explain a crash that left no termination message."""

POLL_SECONDS = 0.05
"""How often a starting process is asked whether it is ready."""


@dataclass(frozen=True)
class ProcessSpec:
    """What to start.

    Attributes:
        arguments: The runtime's arguments.
        environment: The whole environment of the process.
        port: The port it was told to listen on.
        ready_path: The path that answers 200 when the model is loaded and warmed up.
        termination_file: Where it writes its one JSON line when it cannot go on.
    """

    arguments: tuple[str, ...]
    environment: dict[str, str] = field(repr=False)
    port: int
    ready_path: str
    termination_file: Path
    host: str = "127.0.0.1"


@dataclass(frozen=True)
class Failure:
    """Why a process ended or could not start: a reason in one word, what happened, and the exit code."""

    reason: str
    message: str
    exit_code: int | None = None

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}"


class RuntimeProcess:
    """A running ``haizen-runtime``."""

    def __init__(self, spec: ProcessSpec, on_line: Callable[[str], None]) -> None:
        self.spec = spec
        self._on_line = on_line
        self._last: deque[str] = deque(maxlen=REMEMBERED_LINES)
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The process id, None before the start."""
        return self._process.pid if self._process else None

    async def start(self) -> None:
        """Start the process, in a session of its own: a Ctrl-C in the terminal must not reach it before its drain."""
        self.spec.termination_file.unlink(missing_ok=True)
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "haizen_cli.run.child",
            str(os.getpid()),
            "runtime",
            *self.spec.arguments,
            env=self.spec.environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        while True:
            try:
                raw = await self._process.stdout.readline()
            except ValueError:  # a line beyond the stream's limit; what came of it is dropped
                continue
            if not raw:
                return
            line = raw.decode("utf-8", "replace").rstrip()
            self._last.append(line)
            self._on_line(line)

    async def wait_ready(self) -> Failure | None:
        """Wait until the process answers ready; returns why not if it ends before."""
        while self._process is not None and self._process.returncode is None:
            if await answers_ok(self.spec.host, self.spec.port, self.spec.ready_path):
                return None
            await asyncio.sleep(POLL_SECONDS)
        return await self.wait_exit()

    async def wait_exit(self) -> Failure:
        """Wait until the process ends; returns why it did, from its termination message when it left one."""
        assert self._process is not None
        code = await self._process.wait()
        if self._reader is not None:
            await self._reader
        return _failure(code, self.spec.termination_file, list(self._last))

    async def stop(self, grace_seconds: float) -> None:
        """Let the process drain (SIGTERM), and kill it when that takes longer than ``grace_seconds``."""
        if self._process is None:
            return
        self._signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(grace_seconds):
                await self._process.wait()
        except TimeoutError:
            self.kill()
            await self._process.wait()
        if self._reader is not None:
            await self._reader

    def kill(self) -> None:
        """End the process and what it started, at once."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is None or self._process.returncode is not None:
            return
        try:
            if number is signal.SIGKILL:
                os.killpg(self._process.pid, number)  # its session is its own: workers go along
            else:
                self._process.send_signal(number)
        except ProcessLookupError:
            pass


def _failure(code: int, termination_file: Path, last: list[str]) -> Failure:
    try:
        message = json.loads(termination_file.read_text(encoding="utf-8"))
        return Failure(str(message["reason"]), str(message["message"]), code)
    except (OSError, ValueError, KeyError, TypeError):
        pass
    if code < 0:
        name = signal.Signals(-code).name if -code in list(signal.Signals) else str(-code)
        return Failure("Killed", f"the process was ended by {name}", code)
    message = f"the process ended with exit code {code}"
    if last:
        message += "; its last lines:\n  " + "\n  ".join(last[-5:])
    return Failure("Exited", message, code)


async def answers_ok(host: str, port: int, path: str) -> bool:
    """Whether an HTTP GET is answered 200 within two seconds."""
    writer = None
    try:
        async with asyncio.timeout(2.0):
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode("ascii"))
            status = await reader.readline()
            return status.split(b" ")[1:2] == [b"200"]
    except (OSError, TimeoutError, asyncio.IncompleteReadError):
        return False
    finally:
        if writer is not None:
            writer.close()
