"""The network namespace everything runs in, with one cable to the host."""

from pathlib import Path

from e2e.cluster import settings
from e2e.cluster.mounts import mounts_below
from e2e.cluster.shell import run

NAMESPACE_FILE = Path("/run/netns") / settings.NAME
_HOST_END = "hz-host"
_NODE_END = "hz-node"


def exists() -> bool:
    """Whether the namespace is there and is a namespace: a machine that stopped can leave a plain file behind."""
    return bool(mounts_below(NAMESPACE_FILE))


def create() -> None:
    """Make the namespace and the cable; no address or rule of the host is touched."""
    run(["ip", "netns", "add", settings.NAME])
    run(["ip", "link", "add", _HOST_END, "type", "veth", "peer", "name", _NODE_END])
    run(["ip", "link", "set", _NODE_END, "netns", settings.NAME])
    run(["ip", "address", "add", f"{settings.HOST_ADDRESS}/{settings.PREFIX_LENGTH}", "dev", _HOST_END])
    run(["ip", "link", "set", _HOST_END, "up"])
    run_inside(["ip", "link", "set", "lo", "up"])
    run_inside(["ip", "address", "add", f"{settings.NODE_ADDRESS}/{settings.PREFIX_LENGTH}", "dev", _NODE_END])
    run_inside(["ip", "link", "set", _NODE_END, "up"])
    run_inside(["ip", "route", "add", "default", "via", settings.HOST_ADDRESS])
    run_inside(["sysctl", "-q", "-w", "net.ipv4.ip_forward=1"])
    # Only there once the bridge filter is loaded; without it bridged packets do not pass netfilter's hooks.
    run_inside(["sysctl", "-q", "-e", "-w", "net.bridge.bridge-nf-call-iptables=1"])


def delete() -> None:
    """Remove the namespace and the cable, whatever is left of them."""
    run(["ip", "link", "delete", _HOST_END], check=False)
    run(["ip", "netns", "delete", settings.NAME], check=False)
    NAMESPACE_FILE.unlink(missing_ok=True)


def enter() -> list[str]:
    """The words before a command that run it inside; `ip netns exec` would hide /sys/fs/cgroup."""
    return ["nsenter", f"--net={NAMESPACE_FILE}"]


def run_inside(command: list[str]) -> str:
    """Run a program inside the namespace and return what it printed."""
    return run([*enter(), *command])
