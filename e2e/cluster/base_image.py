"""The Python base image of the tests, made by debootstrap: no registry is needed."""

import platform
import shutil
from pathlib import Path

from e2e.cluster import settings
from e2e.cluster.progress import Progress
from e2e.cluster.shell import run

_SUITE = "bookworm"
_MIRROR = "http://deb.debian.org/debian"
_PACKAGES = ("python3", "python3-venv", "ca-certificates")
_STAMP = f"{_SUITE} {' '.join(_PACKAGES)} {platform.machine()} 1"


def root_archive(progress: Progress) -> Path:
    """The tar of a minimal Debian with Python, cached; made anew only when its recipe changes."""
    folder = settings.images_root()
    archive, stamp = folder / "base.tar", folder / "base.stamp"
    if archive.exists() and stamp.exists() and stamp.read_text() == _STAMP:
        return archive
    folder.mkdir(parents=True, exist_ok=True)
    with progress.step(f"debootstrap {_SUITE} with {', '.join(_PACKAGES)}"):
        root = folder / "base-root"
        shutil.rmtree(root, ignore_errors=True)
        run(["debootstrap", "--variant=minbase", f"--include={','.join(_PACKAGES)}", _SUITE, root, _MIRROR])
        for unneeded in ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/man", "usr/share/locale"):
            shutil.rmtree(root / unneeded, ignore_errors=True)
        new = folder / "base.tar.new"
        run(["tar", "--numeric-owner", "--one-file-system", "--exclude=./dev/*", "-C", root, "-cf", new, "."])
        new.rename(archive)
        shutil.rmtree(root, ignore_errors=True)
        stamp.write_text(_STAMP)
    return archive
