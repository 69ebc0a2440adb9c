"""The soak: a million gRPC calls from grpc's Python client and as many from Go's, without one dropped or refused."""

import json
import sys
from dataclasses import dataclass
from typing import Any

from e2e.bench import loadgen
from e2e.bench.bars import Verdict
from e2e.bench.cases import Model, named
from e2e.bench.contestant import APPS
from e2e.bench.peers.haizen import HAIZEN
from e2e.bench.run import Run
from e2e.bench.servers import Running
from e2e.cluster.progress import Progress
from e2e.cluster.shell import run
from e2e.grpc_client import SERVICE

CASE = named("iris-grpc-64")
METHOD = f"{SERVICE}/ModelInfer"
CONNECTIONS, STREAMS = 4, 16


@dataclass(frozen=True, slots=True)
class Soaked:
    """What one client saw."""

    client: str
    asked: int
    right: int
    requests_per_second: float
    error_samples: list[str]
    memory_mib_before: float
    memory_mib_after: float

    def verdict(self) -> Verdict:
        """All of them right, or not."""
        seen = f"{self.right:,} of {self.asked:,} right, {self.requests_per_second:,.0f}/s, "
        seen += f"memory {self.memory_mib_before:.0f} → {self.memory_mib_after:.0f} MiB"
        return Verdict(f"soak, {self.client}", "every call answered right", seen, self.right == self.asked)


def soak(bench: Run, calls: int, progress: Progress) -> list[Soaked]:
    """Ask from both clients, one after the other, on one server."""
    with bench.start(HAIZEN, Model.IRIS) as server:
        folder = str(bench.prepare(server, CASE))
        found = []
        for client, ask in (("grpc-go", _from_go), ("grpcio aio", _from_python)):
            before = server.tree.memory_mib()
            with progress.step(f"{calls:,} calls from {client}"):
                right, rate, samples = ask(bench, server, folder, calls)
            found.append(Soaked(client, calls, right, rate, samples, before, server.tree.memory_mib()))
        return found


def _from_go(bench: Run, server: Running, folder: str, calls: int) -> tuple[int, float, list[str]]:
    task = loadgen.Task(
        "grpc", server.address(CASE.door), folder, CONNECTIONS, streams=STREAMS, method=METHOD, calls=calls
    )
    figures = loadgen.run(bench.loadgen, task)
    return figures.requests, figures.requests_per_second, list(figures.error_samples)


def _from_python(bench: Run, server: Running, folder: str, calls: int) -> tuple[int, float, list[str]]:
    command = ["taskset", "--cpu-list", str(loadgen.CORE), sys.executable, APPS / "soak_client.py"]
    seen: dict[str, Any] = json.loads(run([*command, server.address(CASE.door), METHOD, folder, str(calls)]))
    return seen["right"], seen["right"] / seen["seconds"], seen["error_samples"]
