"""Mounts below the cluster's folders: containers' roots, volumes, namespaces of pods."""

from pathlib import Path

from e2e.cluster.shell import run


def mounts_below(folder: Path) -> list[Path]:
    """The mount points at or below a folder, the last mounted first."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        point = Path(line.split()[4].encode().decode("unicode_escape"))  # a space is written as \040
        if point == folder or folder in point.parents:
            found.append(point)
    return found[::-1]


def unmount_below(folder: Path) -> None:
    """Unmount everything at or below a folder; raises RuntimeError when something stays."""
    for point in mounts_below(folder):
        run(["umount", "--lazy", point], check=False)
    if left := mounts_below(folder):
        raise RuntimeError(f"still mounted: {', '.join(map(str, left))}")
