"""One cgroup holds every process of the cluster, pods included: that is how `down` finds them all."""

import os
import signal
import time
from pathlib import Path

from e2e.cluster import settings

_ROOT = Path("/sys/fs/cgroup")
_DAEMONS = "daemons"


def is_unified() -> bool:
    """Whether this machine has cgroup v2 only."""
    return (_ROOT / "cgroup.controllers").exists()


def _hierarchies() -> list[Path]:
    if is_unified():
        return [_ROOT]
    # Named hierarchies and links to joint ones (cpu -> cpu,cpuacct) are there twice; once is enough.
    return sorted({path.resolve() for path in _ROOT.iterdir() if (path / "cgroup.procs").exists()})


def create() -> None:
    """Make the cluster's cgroup, the kubelet's root, and in it the one our own processes start in."""
    for hierarchy in _hierarchies():
        if hierarchy.name == "unified":
            continue
        ours = hierarchy / settings.NAME
        ours.mkdir(exist_ok=True)
        if is_unified():
            controllers = (hierarchy / "cgroup.controllers").read_text().split()
            for group in (hierarchy, ours):
                for controller in controllers:
                    _write_quietly(group / "cgroup.subtree_control", f"+{controller}")
        if hierarchy.name == "cpuset":
            for name in ("cpuset.cpus", "cpuset.mems"):  # a new cpuset is empty and takes no process
                (ours / name).write_text((hierarchy / name).read_text())
            (ours / "cgroup.clone_children").write_text("1")
    daemons = _process_list_root() / _DAEMONS
    daemons.mkdir(exist_ok=True)


def process_file() -> Path:
    """The file a process writes its own id into to join the cluster's cgroup."""
    return _process_list_root() / _DAEMONS / "cgroup.procs"


def members() -> list[int]:
    """Every process of the cluster, pods included, wherever its network namespace is."""
    found: set[int] = set()
    for file in _process_list_root().rglob("cgroup.procs"):
        try:
            found.update(int(line) for line in file.read_text().split())
        except OSError:  # the group went away in between
            continue
    return sorted(found - {0, os.getpid()})


def kill_members(patience_seconds: float = 20) -> None:
    """Kill what is left in the cluster's cgroup and wait until it is gone."""
    deadline = time.monotonic() + patience_seconds
    while left := members():
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        if time.monotonic() > deadline:
            raise RuntimeError(f"processes {left} in cgroup {settings.NAME} do not die")
        time.sleep(0.1)


def remove() -> None:
    """Remove the cluster's cgroups, deepest first."""
    for hierarchy in _hierarchies():
        ours = hierarchy / settings.NAME
        if ours.exists():
            for group in sorted((path for path in ours.rglob("*") if path.is_dir()), reverse=True):
                _remove_quietly(group)
            _remove_quietly(ours)


def _process_list_root() -> Path:
    return (_ROOT if is_unified() else _ROOT / "pids") / settings.NAME


def _write_quietly(file: Path, text: str) -> None:
    try:
        file.write_text(text)
    except OSError:  # a controller that is not delegated here, or a group that has processes
        return


def _remove_quietly(group: Path) -> None:
    try:
        group.rmdir()
    except OSError:  # busy for a moment after its last process died; an empty group does no harm
        return
