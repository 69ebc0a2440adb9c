"""The convolutional network as one measure among the others: the server on its core, the clients on theirs."""

import json
import sys

from e2e.bench import loadgen
from e2e.bench.bars import Verdict
from e2e.cluster.progress import Progress
from e2e.cluster.shell import run

BAR = 0.9
LEAST_SECONDS = 2.0


def measure(rounds: int, seconds: float, progress: Progress) -> Verdict:
    """Run `e2e.bench.onnx_cnn` on the server's core, its clients on the client's."""
    command = ["taskset", "--cpu-list", "0,1", sys.executable, "-m", "e2e.bench.onnx_cnn", "--rounds", str(rounds)]
    command += ["--seconds", str(max(seconds, LEAST_SECONDS)), "--server-core", "0", "--client-core", str(loadgen.CORE)]
    with progress.step("onnx-cnn"):
        said = run(command)
    figures = json.loads(said[said.index("{") :])
    ratio = figures["ratio (bar: 0.9)"]
    rates = f"{figures['served rows/s']} and {figures['loop rows/s']} rows/s, {figures['batch ms']} ms a batch"
    seen = f"{ratio:.2f} × ({rates})"
    return Verdict("onnx-cnn", f"at least {BAR:g} × onnxruntime's in a loop", seen, ratio >= BAR)
