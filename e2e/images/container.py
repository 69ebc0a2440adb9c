"""One container of an image, as a restricted pod has it: a read-only root, no capabilities, a /tmp that is empty."""

import contextlib
import json
import shutil
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from e2e.cluster import shell
from e2e.cluster.buildah import buildah

USER = 65532
_STATE = Path("/run/haizen-trials")
_TEMPORARY = {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev", "mode=1777"]}


@dataclass(frozen=True)
class Command:
    """What runs in a container; files and folders of this machine are given by their place in it."""

    words: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)  # on top of the image's
    read_only: Mapping[str, Path] = field(default_factory=dict)
    writable: Mapping[str, Path] = field(default_factory=dict)
    memory_bytes: int | None = None


@contextlib.contextmanager
def unpacked(image: str) -> Iterator[Path]:
    """The root folder of an image in the store, which containers of it share; nothing is left afterwards.

    Raises CommandError when the store has no such image.
    """
    name = f"trial-{uuid.uuid4().hex[:8]}"
    buildah("from", "--pull-never", "--name", name, image)
    try:
        yield Path(buildah("mount", name).strip())
    finally:
        buildah("umount", name)
        buildah("rm", name)


class Container:
    """A container that runs in the host's network, so that its server listens on this machine; its log is a file."""

    def __init__(self, root: Path, image: str, command: Command) -> None:
        """Start it; `root` is the image's, unpacked."""
        self._id = f"trial-{uuid.uuid4().hex[:8]}"
        self._bundle = Path(tempfile.mkdtemp(prefix="haizen-trial-"))
        self._log = self._bundle / "log"
        shell.run(["runc", "spec", "--bundle", self._bundle])
        file = self._bundle / "config.json"
        config = json.loads(buildah("inspect", "--type", "image", image))["OCIv1"]["config"]
        file.write_text(json.dumps(specification(json.loads(file.read_text()), root, config, command, self._id)))
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                ["runc", "--root", _STATE, "run", "--bundle", self._bundle, self._id],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=shell.environment(),
            )  # fmt: skip

    @property
    def log(self) -> str:
        """What the container has said so far."""
        return self._log.read_text(errors="replace")

    @property
    def exit_status(self) -> int | None:
        """None while it runs."""
        return self._process.poll()

    def wait(self, limit_seconds: float) -> int:
        """The exit status; raises AssertionError with the log when there is none in time."""
        try:
            return self._process.wait(limit_seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"no end after {limit_seconds:g} s\n{self.log}") from None

    def terminate(self) -> None:
        """Ask it to end, as a kubelet does."""
        shell.run(["runc", "--root", _STATE, "kill", self._id, "TERM"])

    def remove(self) -> None:
        """Kill what is left of it and forget it."""
        shell.run(["runc", "--root", _STATE, "delete", "--force", self._id], check=False)
        self._process.wait()
        shutil.rmtree(self._bundle)
        with contextlib.suppress(OSError):  # other containers are there still
            _STATE.rmdir()


def specification(
    default: dict[str, Any], root: Path, config: dict[str, Any], command: Command, cgroup: str
) -> dict[str, Any]:
    """The OCI runtime's specification: runc's `default` with what the image and the command say."""
    environment = dict(line.split("=", 1) for line in config["Env"]) | dict(command.environment)
    process = {
        "terminal": False,
        "user": {"uid": USER, "gid": USER},
        "args": list(command.words),
        "env": [f"{name}={value}" for name, value in environment.items()],
        "cwd": config["WorkingDir"],
        "capabilities": {},
        "noNewPrivileges": True,
    }
    mounts = [*default["mounts"], _TEMPORARY]
    for folders, mode in ((command.read_only, "ro"), (command.writable, "rw")):
        for place, source in folders.items():
            mounts.append({"destination": place, "type": "bind", "source": str(source), "options": ["rbind", mode]})
    linux = default["linux"]
    resources = dict(linux["resources"])
    if command.memory_bytes is not None:
        resources["memory"] = {"limit": command.memory_bytes, "swap": command.memory_bytes}
    namespaces = [each for each in linux["namespaces"] if each["type"] != "network"]
    return {
        **default,
        "process": process,
        "root": {"path": str(root), "readonly": True},
        "mounts": mounts,
        "linux": {**linux, "resources": resources, "namespaces": namespaces, "cgroupsPath": f"/haizen-{cgroup}"},
    }


def free_port() -> int:
    """A TCP port of this machine that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
