"""The contestants' own environments: a venv each, from a list of pinned requirements, made once in the cache folder."""

import hashlib
import os
import shutil
import sys
import sysconfig
from pathlib import Path

from e2e.cluster import settings
from e2e.cluster.progress import Progress
from e2e.cluster.shell import run

LOCKED = "haizen"
"""What `pip install haizen[runtime,sklearn,onnx]` brings, as locked: without what the tests need."""

_REQUIREMENTS = Path(__file__).parent / "requirements"


def python_of(name: str, progress: Progress) -> Path:
    """The Python of an environment, made first where it is missing or its requirements changed; "": this one's.

    Raises CommandError when an installation fails.
    """
    if not name:
        return Path(sys.executable)
    requirements = _locked() if name == LOCKED else (_REQUIREMENTS / f"{name}.txt").read_text()
    folder = settings.cache_root() / "bench" / name
    python, stamp = folder / "venv" / "bin" / "python", folder / "stamp"
    key = hashlib.sha256(f"{base_python()}\n{requirements}".encode()).hexdigest()
    if python.exists() and stamp.exists() and stamp.read_text() == key:
        return python
    folder.mkdir(parents=True, exist_ok=True)
    stamp.unlink(missing_ok=True)
    wanted = folder / "requirements.txt"
    wanted.write_text(requirements)
    uv = _uv()
    with progress.step(f"install {name} (once)"):
        run([uv, "venv", "--quiet", "--clear", "--python", base_python(), folder / "venv"], env=_certificates())
        install = [uv, "pip", "install", "--quiet", "--no-deps", "--compile-bytecode", "--python", python]
        run([*install, "--requirement", wanted], env=_certificates())
    stamp.write_text(key)
    return python


def base_python() -> Path:
    """The interpreter below this environment."""
    return Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"


def python_library_folder() -> str:
    """Where that interpreter's shared library lies: what embeds it has to find it."""
    return str(sysconfig.get_config_var("LIBDIR"))


def scratch_folder() -> Path:
    """Where servers keep their files while they run; short, since some make sockets below it."""
    folder = Path("/tmp") / f"haizen-bench-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    return folder


def _locked() -> str:
    command = [_uv(), "export", "--quiet", "--frozen", "--no-dev", "--no-emit-project", "--no-header"]
    return run(
        [*command, "--extra", "runtime", "--extra", "sklearn", "--extra", "onnx"],
        cwd=settings.REPOSITORY,
        env=_certificates(),
    )


def _uv() -> Path:
    found = shutil.which("uv")
    return Path(found) if found else settings.cache_root() / "tools" / "bin" / "uv"


def _certificates() -> dict[str, str]:
    return {"UV_SYSTEM_CERTS": "true"}
