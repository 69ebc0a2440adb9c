"""The floor of large JSON: the fastest parse of a request into an array, and the fastest dump of its answer."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from e2e.bench.contestant import APPS
from e2e.bench.figures import Figures
from e2e.bench.servers import environment
from e2e.cluster.shell import run

_SERVER_CORE = "0"


@dataclass(frozen=True, slots=True)
class Fastest:
    """The libraries that won, and what each took."""

    parse: str
    dump: str
    seconds: Mapping[str, Mapping[str, float]]

    @property
    def text(self) -> str:
        """As it is read."""
        parse, dump = self.seconds["parse"][self.parse], self.seconds["dump"][self.dump]
        return f"parse {self.parse} {parse * 1000:.2f} ms, dump {self.dump} {dump * 1000:.2f} ms"


def body_file(request: bytes, folder: Path) -> Path:
    """Write the body of an HTTP request to a file."""
    file = folder / "image.json"
    file.write_bytes(request.partition(b"\r\n\r\n")[2])
    return file


def fastest(python: Path, body: Path) -> Fastest:
    """Time all of them. Raises CommandError where one gives other values than Python's own json."""
    return choose(json.loads(_run(python, body)))


def choose(seconds: Mapping[str, Mapping[str, float]]) -> Fastest:
    """The quickest of each."""
    parse, dump = (min(seconds[part], key=seconds[part].__getitem__) for part in ("parse", "dump"))
    return Fastest(parse, dump, seconds)


def measure(python: Path, body: Path, pair: Fastest, seconds: float) -> Figures:
    """Do the pair again and again on the server's core; a time is as a request's."""
    seen = json.loads(_run(python, body, pair.parse, pair.dump, str(seconds)))
    each = seen["seconds"] / seen["times"] * 1000
    return Figures(seen["times"] / seen["seconds"], each, each, seen["times"])


def _run(python: Path, *arguments: str | Path) -> str:
    command = ["taskset", "--cpu-list", _SERVER_CORE, python, APPS / "json_pair_app.py", *arguments]
    return run(command, env=environment(python, {}), timeout_seconds=120)
