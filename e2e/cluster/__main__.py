"""`python -m e2e.cluster build|binaries|up|down|status|images|features|env`."""

import argparse
import os
import sys

from e2e.cluster import binaries, cluster, image_kinds, knative, processes, settings
from e2e.cluster.go_modules import PROGRAMS
from e2e.cluster.progress import Progress


def main() -> int:
    """Run one of the commands; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m e2e.cluster", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("build", help="build every program, once")
    commands.add_parser("up", help="bring the cluster up, from whatever state the machine is in")
    commands.add_parser("down", help="stop everything of the cluster")
    commands.add_parser("status", help="say what runs")
    built_images = commands.add_parser("images", help="build haizen's images and give them to the cluster")
    kinds = [name for name in image_kinds.kinds() if name != image_kinds.SMALL]
    built_images.add_argument("--kind", action="append", default=[], choices=kinds, help="only this kind of runtime")
    features = commands.add_parser("features", help="allow or forbid init containers, claims and the like in Knative")
    features.add_argument("switch", choices=("on", "off"))
    built = commands.add_parser("binaries", help="build these programs and print their folder")
    built.add_argument("names", nargs="+", choices=sorted(PROGRAMS), metavar="NAME")
    commands.add_parser("env", help="print the line that makes kubectl use the cluster")
    arguments = parser.parse_args()
    command = arguments.command
    if command == "env":
        print(f"export KUBECONFIG={os.environ.get('KUBECONFIG') or settings.kubeconfig()}")
        return 0
    if command == "binaries":
        print(binaries.ensure(arguments.names, Progress()))
        return 0
    if os.environ.get("KUBECONFIG") not in (None, "", str(settings.kubeconfig())):
        print(f"KUBECONFIG={os.environ['KUBECONFIG']} is set: that cluster is used, nothing is done here")
        return 0
    if command != "status" and os.geteuid() != 0:
        print("the cluster needs root: containers, network namespaces and cgroups are made", file=sys.stderr)
        return 1
    if command == "features":
        knative.set_features(arguments.switch == "on")
        return 0
    if command == "images" and arguments.kind:
        cluster.build_kinds(arguments.kind, Progress())
        return 0
    return _run(command, Progress())


def _run(command: str, progress: Progress) -> int:
    if command == "status":
        return _status()
    match command:
        case "build":
            cluster.build(progress)
        case "up":
            ready = cluster.up(progress)
            print(
                f"export KUBECONFIG={ready.kubeconfig}\n# the gateway: {ready.gateway}, with the service's name as Host"
            )
        case "down":
            with progress.step("cluster down"):
                cluster.down()
        case "images":
            cluster.build_images(progress)
    return 0


def _status() -> int:
    for name, pid in processes.running().items():
        print(f"{name:26} {f'runs, pid {pid}' if pid else 'does not run'}")
    up = cluster.is_up()
    print("the cluster is up" if up else "the cluster is not up")
    return 0 if up else 1


if __name__ == "__main__":
    sys.exit(main())
