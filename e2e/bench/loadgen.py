"""The load: a Go program, built once, that compares every answer byte by byte with the one known to be right."""

import hashlib
import json
import os
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path

from e2e.bench.figures import Figures
from e2e.cluster import settings
from e2e.cluster.binaries import go
from e2e.cluster.progress import Progress

CORE = min(1, (os.cpu_count() or 1) - 1)
"""The client's; the servers are on core 0."""
_SOURCES = Path(__file__).parent / "go"


@dataclass(frozen=True, slots=True)
class Task:
    """What the program is told; see go/main.go."""

    door: str
    address: str
    folder: str
    connections: int
    seconds: float = 0.0
    warmup_seconds: float = 0.0
    method: str = ""
    streams: int = 1
    calls: int = 0
    timeout_seconds: float = 60.0


def program(progress: Progress) -> Path:
    """The built program. Raises CommandError when the build fails."""
    sources = sorted(file for file in _SOURCES.iterdir() if file.suffix in (".go", ".mod", ".sum"))
    key = hashlib.sha256(b"\0".join(file.read_bytes() for file in sources)).hexdigest()[:16]
    built = settings.cache_root() / "bench" / "loadgen" / key
    if not built.exists():
        built.parent.mkdir(parents=True, exist_ok=True)
        with progress.step("build the load generator (once)"):
            new = built.with_name(f".{key}.{os.getpid()}")  # whole or not there, whoever looks meanwhile
            go("build", "-trimpath", "-o", str(new), ".", cwd=_SOURCES)
            new.replace(built)
    return built


def run(built: Path, task: Task) -> Figures:
    """Run the load on the client's core. Raises RuntimeError where it could not run at all."""
    command = ["taskset", "--cpu-list", str(CORE), built]
    limit = None if task.calls else task.seconds + task.warmup_seconds + 2 * task.timeout_seconds
    environment = {**os.environ, "GOMAXPROCS": "1"}
    asked = json.dumps(asdict(task))
    done = subprocess.run(command, input=asked, capture_output=True, text=True, timeout=limit, env=environment)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip())
    return parse(done.stdout)


def parse(text: str) -> Figures:
    """Read the program's figures."""
    seen = json.loads(text)
    return Figures(
        seen["requests_per_second"],
        seen["p50_ms"],
        seen["p99_ms"],
        seen["requests"],
        seen["errors"],
        seen["error_samples"],
        seen["client_cpu_seconds"] / seen["seconds"] if seen["seconds"] else 0.0,
    )
