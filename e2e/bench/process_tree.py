"""All processes of one server, however they were started: they inherit a mark in their environment."""

import contextlib
import os
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

MARK = "HAIZEN_BENCH_SERVER"


@dataclass(frozen=True, slots=True)
class ProcessTree:
    """The processes that carry one mark, daemons and orphans among them."""

    mark: str

    @property
    def environment(self) -> Mapping[str, str]:
        """What the first process needs in its environment."""
        return {MARK: self.mark}

    def pids(self) -> list[int]:
        """Those that live now."""
        wanted = f"{MARK}={self.mark}".encode()
        found = []
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit():
                with contextlib.suppress(OSError):
                    if wanted in (folder / "environ").read_bytes().split(b"\0"):
                        found.append(int(folder.name))
        return found

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to each."""
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def memory_mib(self) -> float:
        """Their memory, a shared page counted once (the sum of the PSS)."""
        total = 0
        for pid in self.pids():
            with contextlib.suppress(OSError):
                total += proportional_kib(Path(f"/proc/{pid}/smaps_rollup").read_text())
        return total / 1024

    def end(self, patience_seconds: float) -> None:
        """Kill what lives after `patience_seconds`, and wait until nothing does."""
        deadline = time.monotonic() + patience_seconds
        while self.pids() and time.monotonic() < deadline:
            time.sleep(0.02)
        while self.pids():
            self.signal(signal.SIGKILL)
            time.sleep(0.02)


def proportional_kib(rollup: str) -> int:
    """The PSS that a smaps_rollup names, in KiB."""
    for line in rollup.splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    return 0
