"""`python -m e2e.cluster build|up|down|status|images|env`."""

import argparse
import os
import sys

from e2e.cluster import cluster, images, processes, settings
from e2e.cluster.progress import Progress


def main() -> int:
    """Run one of the commands; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m e2e.cluster", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("build", help="build every program, once")
    commands.add_parser("up", help="bring the cluster up, from whatever state the machine is in")
    commands.add_parser("down", help="stop everything of the cluster")
    commands.add_parser("status", help="say what runs")
    commands.add_parser("images", help="build haizen's images and give them to the cluster")
    commands.add_parser("env", help="print the lines that make kubectl use the cluster")
    command = parser.parse_args().command
    if command == "env":
        print(f"export KUBECONFIG={os.environ.get('KUBECONFIG') or settings.kubeconfig()}")
        return 0
    if os.environ.get("KUBECONFIG") not in (None, "", str(settings.kubeconfig())):
        print(f"KUBECONFIG={os.environ['KUBECONFIG']} is set: that cluster is used, nothing is done here")
        return 0
    if command != "status" and os.geteuid() != 0:
        print("the cluster needs root: containers, network namespaces and cgroups are made", file=sys.stderr)
        return 1
    return _run(command, Progress())


def _run(command: str, progress: Progress) -> int:
    if command == "status":
        return _status()
    match command:
        case "build":
            cluster.build(progress)
        case "up":
            cluster.up(progress)
            print(f"export KUBECONFIG={settings.kubeconfig()}")
        case "down":
            with progress.step("cluster down"):
                cluster.down(progress)
        case "images":
            images.ensure_haizen_images(progress)
    return 0


def _status() -> int:
    for name, pid in processes.running().items():
        print(f"{name:26} {f'runs, pid {pid}' if pid else 'does not run'}")
    up = cluster.is_up()
    print("the cluster is up" if up else "the cluster is not up")
    return 0 if up else 1


if __name__ == "__main__":
    sys.exit(main())
