"""What a trial of an image is: the container of a format's built-in runtime, run on this machine with a tiny model."""

import json
import math
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from e2e.cluster import shell
from e2e.cluster.image_kinds import SMALL, Kind
from e2e.images.bill_of_materials import check_bill_of_materials
from e2e.images.container import Command, Container, free_port, unpacked
from haizen_operator.runtimes import IMAGE_PLACEHOLDER, load_builtin_runtimes

TINY_MODELS = Path(__file__).with_name("tiny_models.py")
GPU_LIBRARIES = Path(__file__).with_name("gpu_libraries.py")
MADE_OUTSIDE = ("onnx",)
"""Formats whose models need a package that no image has."""
GPU = "gpu"
GPU_FORMATS = ("huggingface", "onnx", "pytorch")
"""No built-in runtime names the GPU's image: models choose it, of these formats."""
ON_CPU = "runs on the CPU"
"""What a server says that could use a GPU and sees none; no container of a trial sees one."""
TOLERANCE = 1e-5
PATIENCE_SECONDS = 300
DRAIN_SECONDS = 60
_UNITS = {"Mi": 2**20, "Gi": 2**30}
_NOTHING: Mapping[str, Path] = {}


@dataclass(frozen=True)
class Outcome:
    """What became of a part of a trial: the problem, "" when there was none, and what the server said."""

    part: str
    problem: str
    log: str = ""


@dataclass(frozen=True)
class Trial:
    """A format and the container of its built-in runtime."""

    format: str
    container: dict[str, Any]

    @property
    def kind(self) -> str:
        """The kind of image that the runtime names."""
        return self.container["image"].partition(":")[2] or SMALL

    def command(self, port: int, folder: Path) -> Command:
        """The runtime's, for the model called `tiny` below `folder` and a port of this machine."""
        words = [word.replace("{{.Name}}", "tiny") for word in self.container["command"] + self.container["args"]]
        limit = self.container["resources"]["limits"]["memory"]
        return Command(
            [*words, f"--http_port={port}", "--host=127.0.0.1"],
            environment={each["name"]: each["value"] for each in self.container["env"]},
            read_only={"/mnt/models": folder / "model"},
            writable={"/dev/termination-log": folder / "termination-log"},
            memory_bytes=int(limit[:-2]) * _UNITS[limit[-2:]],
        )


def trials_of(kind: str) -> list[Trial]:
    """What images of this kind are for, by the formats' names."""
    runtimes = load_builtin_runtimes(IMAGE_PLACEHOLDER)
    trials = [
        Trial(each["metadata"]["name"].removeprefix("haizen-"), each["spec"]["containers"][0]) for each in runtimes
    ]
    return [each for each in trials if each.kind == kind or (kind == GPU and each.format in GPU_FORMATS)]


def try_image(kind: Kind) -> Iterator[Outcome]:
    """Try everything that an image is for. Raises CommandError when it was not built."""
    with unpacked(kind.image) as root:
        yield outcome_of("bill of materials", lambda: check_bill_of_materials(root))
        if kind.name == GPU:
            yield outcome_of("CUDA's libraries", lambda: run_script(kind.image, root, GPU_LIBRARIES))
        for trial in trials_of(kind.name):
            with tempfile.TemporaryDirectory(prefix="haizen-trial-") as folder:
                yield outcome_of(trial.format, partial(serve, trial, kind, root, Path(folder)))


def outcome_of(part: str, work: Callable[[], str]) -> Outcome:
    """Do a part of a trial; `work` returns what the server said."""
    try:
        return Outcome(part, "", work())
    except (AssertionError, shell.CommandError, httpx.TransportError) as problem:
        return Outcome(part, f"{type(problem).__name__}: {problem}")


def serve(trial: Trial, kind: Kind, root: Path, folder: Path) -> str:
    """Make the tiny model, serve it, compare answers and end the server; returns what it said.

    Raises AssertionError with what the server said when anything is not as it should be.
    """
    folder.chmod(0o777)  # the container's user writes the model
    make_model(trial.format, kind.image, root, folder)
    last_words = folder / "termination-log"
    last_words.touch()
    last_words.chmod(0o666)
    port = free_port()
    container = Container(root, kind.image, trial.command(port, folder))
    try:
        address = f"http://127.0.0.1:{port}"
        wait_ready(container, address)
        request = json.loads((folder / "request.json").read_text())
        answer = httpx.post(f"{address}/v2/models/tiny/infer", json=request, timeout=60)
        assert answer.status_code == 200, f"{answer.text}\n{container.log}"
        got = {each["name"]: each["data"] for each in answer.json()["outputs"]}
        expected = json.loads((folder / "expected.json").read_text())
        assert agree(got, expected), f"answered {got}, the library {expected}"
        container.terminate()
        status = container.wait(DRAIN_SECONDS)
        assert status == 0, f"ended with {status}\n{container.log}"
        assert kind.name != GPU or ON_CPU in container.log, f"not a word of the CPU\n{container.log}"
        return container.log
    finally:
        container.remove()


def make_model(name: str, image: str, root: Path, folder: Path) -> None:
    """Let the image's own libraries make the model, and say what they answer; raises AssertionError."""
    if name in MADE_OUTSIDE:
        shell.run([sys.executable, TINY_MODELS, name, folder])
    else:
        run_script(image, root, TINY_MODELS, name, "/made", writable={"/made": folder})


def run_script(image: str, root: Path, script: Path, *arguments: str, writable: Mapping[str, Path] = _NOTHING) -> str:
    """Run a script with the image's Python; returns what it printed, or raises AssertionError with that."""
    words = ["python3", f"/trial/{script.name}", *arguments]
    container = Container(root, image, Command(words, read_only={"/trial": script.parent}, writable=writable))
    try:
        assert container.wait(PATIENCE_SECONDS) == 0, f"{script.name} failed\n{container.log}"
        return container.log
    finally:
        container.remove()


def wait_ready(container: Container, address: str) -> None:
    """Wait until the server is ready; raises AssertionError with its log when it ends before, or takes too long."""
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        assert container.exit_status is None, f"ended with {container.exit_status}\n{container.log}"
        assert time.monotonic() < end, f"not ready after {PATIENCE_SECONDS} s\n{container.log}"
        try:
            if httpx.get(f"{address}/v2/health/ready").status_code == 200:
                return
        except httpx.TransportError:
            pass  # it does not listen yet
        time.sleep(0.2)


def agree(got: dict[str, list[Any]], expected: dict[str, list[Any]]) -> bool:
    """Whether two answers have the same outputs with the same values, floats up to rounding."""
    return got.keys() == expected.keys() and all(
        len(got[name]) == len(values) and all(map(_same, got[name], values)) for name, values in expected.items()
    )


def _same(left: Any, right: Any) -> bool:
    if isinstance(right, float):
        return math.isclose(left, right, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    return bool(left == right)
