"""Debian packages the cluster needs; only what is missing is installed."""

import shutil

from e2e.cluster.progress import Progress
from e2e.cluster.shell import run

# a program that the package brings -> the package
_PROGRAMS = {
    "containerd": "containerd",
    "runc": "runc",
    "/usr/lib/cni/bridge": "containernetworking-plugins",
    "nft": "nftables",
    "iptables": "iptables",
    "ipset": "ipset",
    "conntrack": "conntrack",
    "socat": "socat",
    "ip": "iproute2",
    "debootstrap": "debootstrap",
    "buildah": "buildah",
}
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def missing_packages() -> list[str]:
    """The packages whose program is not on this machine."""
    return [package for program, package in _PROGRAMS.items() if shutil.which(program, path=_PATH) is None]


def ensure_packages(progress: Progress) -> None:
    """Install what is missing by apt-get; raises CommandError where that fails."""
    packages = missing_packages()
    if not packages:
        return
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    with progress.step(f"apt-get install {' '.join(packages)}"):
        # A machine that has just started may be installing its updates, which takes the lock for minutes.
        apt_get = ["apt-get", "-q", "-o", "DPkg::Lock::Timeout=600", "-o", "Acquire::Retries=3"]
        run([*apt_get, "update"], env=quiet)
        run([*apt_get, "install", "-y", "--no-install-recommends", *packages], env=quiet)
