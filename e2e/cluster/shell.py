"""Running other programs, with errors that show what they said."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path


class CommandError(RuntimeError):
    """A program failed; the message holds its command line and the end of its output."""


def environment(additions: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return this process's environment with additions, and the folders of the system's own programs on PATH.

    A shell that became root by `su`, or a bare environment, may lack them: sysctl, ip and iptables are there.
    """
    path = os.environ.get("PATH", os.defpath).split(os.pathsep)
    missing = [folder for folder in ("/usr/local/sbin", "/usr/sbin", "/sbin") if folder not in path]
    return {**os.environ, "PATH": os.pathsep.join([*path, *missing]), **(additions or {})}


def run(
    command: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: bytes | None = None,
    check: bool = True,
    timeout_seconds: float | None = None,
) -> str:
    """Run a program and return what it printed; `env` is added to the environment.

    Raises CommandError with the last lines of output when the program fails and `check` is set.
    """
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words,
            cwd=cwd,
            env=environment(env),
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            timeout=timeout_seconds,
        )
    except FileNotFoundError:
        raise CommandError(f"{words[0]}: no such program") from None
    except subprocess.TimeoutExpired:
        raise CommandError(f"{' '.join(words)[:300]}: no end after {timeout_seconds} s") from None
    if check and done.returncode != 0:
        tail = (done.stderr + done.stdout).decode(errors="replace")[-3000:]
        raise CommandError(f"{' '.join(words)[:300]}: exit status {done.returncode}\n{tail}")
    return done.stdout.decode(errors="replace")
