"""What haizen's server does while it is loaded: py-spy's samples of all its processes, native code among them."""

import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Group
from rich.table import Table

from e2e.bench import environments, loadgen
from e2e.bench.cases import Case
from e2e.bench.peers.haizen import HAIZEN
from e2e.bench.run import Run
from e2e.cluster.progress import Progress

RATE = 200
WARMUP_SECONDS, SECONDS = 2.0, 10.0


@dataclass(frozen=True, slots=True)
class Line:
    """One function: the shares of the samples in which it ran itself, and in which it was on the stack. 0..1."""

    function: str
    own: float
    total: float


def profile(bench: Run, case: Case, progress: Progress) -> str:
    """Load the server and sample it; returns collapsed stacks. Raises RuntimeError when py-spy cannot."""
    spy = environments.python_of("py-spy", progress).parent / "py-spy"
    with bench.start(HAIZEN, case.model) as server, progress.step(f"profile {case.name}"):
        calls = bench.prepare(server, case)
        bench.load(server, case, calls, WARMUP_SECONDS)
        output = Path(calls) / "samples.txt"
        (pid, *_) = sorted(server.tree.pids())
        command = ["taskset", "--cpu-list", str(loadgen.CORE), spy, "record", "--pid", str(pid), "--subprocesses"]
        command += ["--native", "--format", "raw", "--rate", str(RATE), "--duration", f"{SECONDS:.0f}"]
        words = [str(word) for word in [*command, "--output", output]]
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as sampling:
            bench.load(server, case, calls, SECONDS + WARMUP_SECONDS)
            said, _ = sampling.communicate(timeout=120)
        if sampling.returncode != 0 or not output.exists():
            raise RuntimeError(f"py-spy: exit status {sampling.returncode}\n{said[-2000:]}")
        return output.read_text()


def summarize(raw: str) -> list[Line]:
    """The functions of collapsed stacks ("outer;inner 12"), those that run themselves most first."""
    own: Counter[str] = Counter()
    total: Counter[str] = Counter()
    samples = 0
    for line in raw.splitlines():
        stack, _, count = line.rpartition(" ")
        frames = [_without_line(frame) for frame in stack.split(";")]
        own[frames[-1]] += int(count)
        for frame in set(frames):
            total[frame] += int(count)
        samples += int(count)
    ordered = sorted(total, key=lambda frame: (-own[frame], -total[frame]))
    return [Line(frame, own[frame] / samples, total[frame] / samples) for frame in ordered]


def packages(raw: str) -> dict[str, float]:
    """The shares of the packages, largest first. The interpreter's own time counts for the code that it runs."""
    found: Counter[str] = Counter()
    for line in raw.splitlines():
        stack, _, count = line.rpartition(" ")
        found[next(filter(None, map(_package, reversed(stack.split(";")))), "other")] += int(count)
    samples = found.total()
    return {name: count / samples for name, count in found.most_common()}


def _package(frame: str) -> str:
    """The package of a frame's file, "function (package/module.py:1)"; "" for files without a folder."""
    folder, slash, _ = frame.rpartition(" (")[2].partition("/")
    return folder if slash else ""


def _without_line(frame: str) -> str:
    """A frame is "function (file:line)": all lines of a function count together."""
    head, colon, tail = frame.rpartition(":")
    return f"{head})" if colon and tail.rstrip(")").isdigit() else frame


def table(case: Case, lines: Sequence[Line], shares: Mapping[str, float], most: int = 30) -> Group:
    """The packages and the functions as tables."""
    by_package = Table(title=f"haizen under {case.name}: whose code runs")
    by_package.add_column("of the samples", justify="right")
    by_package.add_column("package")
    for name, share in list(shares.items())[:12]:
        by_package.add_row(f"{share:.1%}", name)
    by_function = Table(title="the functions that run themselves most, and haizen's others by what they call")
    for column in ("itself", "with what it calls"):
        by_function.add_column(column, justify="right")
    by_function.add_column("function", overflow="fold")
    for line in lines[:most]:
        by_function.add_row(f"{line.own:.1%}", f"{line.total:.1%}", line.function)
    by_function.add_section()
    callers = [line for line in lines[most:] if "haizen_runtime/" in line.function]
    for line in sorted(callers, key=lambda line: -line.total)[:most]:
        by_function.add_row(f"{line.own:.1%}", f"{line.total:.1%}", line.function)
    return Group(by_package, by_function)
