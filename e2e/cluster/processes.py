"""The cluster's processes: started inside the namespace, known by a file with their id, stopped in good order."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from e2e.cluster import cgroups, network, settings, shell


@dataclass(frozen=True)
class Process:
    """A process of ours: its name, its command line, and additions to its environment."""

    name: str
    command: Sequence[str | Path]
    environment: Mapping[str, str] | None = None


def _pid_file(name: str) -> Path:
    return settings.state_root() / "pid" / name


def log_file(name: str) -> Path:
    """Where a process writes what it says."""
    return settings.logs_root() / f"{name}.log"


def start(process: Process) -> None:
    """Start a process inside the namespace and the cgroup; it outlives this program."""
    words = [str(word) for word in process.command]
    join = f'echo $$ > {cgroups.process_file()} && exec "$@"'
    log_file(process.name).parent.mkdir(parents=True, exist_ok=True)
    _pid_file(process.name).parent.mkdir(parents=True, exist_ok=True)
    with log_file(process.name).open("ab") as log:
        child = subprocess.Popen(
            ["sh", "-c", join, "sh", *network.enter(), *words],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env=shell.environment(process.environment),
            cwd="/",
        )
    _pid_file(process.name).write_text(f"{child.pid} {words[0]}")


def pid_of(name: str) -> int | None:
    """The id of a running process of ours, None when it is not running or the id now belongs to another program."""
    try:
        pid, program = _pid_file(name).read_text().split(maxsplit=1)
        words = Path("/proc", pid, "cmdline").read_bytes().decode(errors="replace").split("\0")
        state = Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, ValueError):
        return None
    return int(pid) if program in words and state != "Z" else None


def running() -> dict[str, int | None]:
    """Every process that was started, with its id or None."""
    folder = settings.state_root() / "pid"
    return {file.name: pid_of(file.name) for file in sorted(folder.iterdir())} if folder.exists() else {}


def stop(name: str, patience_seconds: float = 10) -> None:
    """Ask a process to end, kill it when it does not, and wait until it is gone."""
    pid = pid_of(name)
    if pid is not None:
        _signal(pid, signal.SIGTERM)
        deadline = time.monotonic() + patience_seconds
        while pid_of(name) is not None:
            _reap(pid)
            if time.monotonic() > deadline:
                _signal(pid, signal.SIGKILL)
            time.sleep(0.05)
    _pid_file(name).unlink(missing_ok=True)


def wait_until(ready: Callable[[], bool], what: str, process: str | None = None, patience_seconds: float = 120) -> None:
    """Poll until `ready` holds; raises RuntimeError with the end of the log when the process dies or time is up."""
    deadline = time.monotonic() + patience_seconds
    while not ready():
        if process is not None and pid_of(process) is None:
            raise RuntimeError(f"{process} ended before {what}\n{log_tail(process)}")
        if time.monotonic() > deadline:
            raise RuntimeError(f"no {what} after {patience_seconds:.0f} s\n{log_tail(process) if process else ''}")
        time.sleep(0.1)


def log_tail(name: str, lines: int = 25) -> str:
    """The end of a process's log."""
    try:
        return "\n".join(log_file(name).read_text(errors="replace").splitlines()[-lines:])
    except FileNotFoundError:
        return f"({name} left no log)"


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _reap(pid: int) -> None:
    """Collect the exit status where the process is a child of this program."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return
