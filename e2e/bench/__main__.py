"""`python -m e2e.bench`: haizen's runtime beside its peers and its floors, as tables and as results/bench.json."""

import json
import os
import signal
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from e2e.bench import cnn, environments, loadgen, machine, options, profiling, report, soak
from e2e.bench.bars import PEER, Verdict
from e2e.bench.cases import Model
from e2e.bench.options import Options
from e2e.bench.peers import CONTESTANTS
from e2e.bench.run import Run, Seen
from e2e.bench.schedule import Duel, Plan, fixed, plan
from e2e.cluster.progress import Progress

RESULTS = Path("results")
CORES = 2
PAGE_COLUMNS = 140
CNN_SECONDS, START_SECONDS = 60.0, 12.0
"""About how long the network takes, and a pair of starts of two of the quicker servers."""


def main(arguments: list[str]) -> int:
    """Print the figures; the exit code says nothing about them: a bar that is missed is shown as missed."""
    wish = options.parse(arguments, CONTESTANTS)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))  # no server is left behind
    console, progress = Console(width=None if sys.stdout.isatty() else PAGE_COLUMNS), Progress()
    found: dict[str, Any] = {"machine": machine.describe()}
    seen, extra = Seen(), list[Verdict]()
    if wish.cluster:
        from e2e.bench import cluster_benches

        extra, found["cluster"] = cluster_benches.measure()
    else:
        if len(os.sched_getaffinity(0)) < CORES:
            sys.exit("the benchmark needs two cores: one for the server, one for the client")
        for name in dict.fromkeys(each.environment for each in wish.contestants):
            environments.python_of(name, progress)
        if wish.install_only:
            return 0
        chosen = schedule(wish)
        with tempfile.TemporaryDirectory(dir=environments.scratch_folder()) as folder:
            bench = Run(chosen, Path(folder), progress)
            seen = bench.seen
            os.sched_setaffinity(0, {loadgen.CORE})  # this program stays out of the servers' way
            try:
                extra = measure(bench, wish, chosen, console, progress, found)
            except KeyboardInterrupt:
                progress.say("stopped: what was seen so far")
    judged = report.verdicts(seen, extra, wish.names)
    report.show(console, seen, judged)
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"bench{'-' * bool(wish.kind)}{wish.kind}.json"
    file.write_text(json.dumps(found | report.document(seen, judged), indent=2, default=str) + "\n")
    console.print(f"written to {file}")
    return 0


def measure(
    bench: Run, wish: Options, chosen: Plan, console: Console, progress: Progress, found: dict[str, Any]
) -> list[Verdict]:
    """Do what was asked for; returns the bars that are judged on their own."""
    if wish.soak_calls:
        return [soaked.verdict() for soaked in soak.soak(bench, wish.soak_calls, progress)]
    if wish.profile:
        for case in wish.profile:
            raw = profiling.profile(bench, case, progress)
            lines, packages = profiling.summarize(raw), profiling.packages(raw)
            found[case.name] = {"packages": packages, "functions": [asdict(line) for line in lines]}
            console.print(profiling.table(case, lines, packages))
        return []
    progress.say(
        f"{chosen.measurements} measurements of {chosen.seconds:g} s in {chosen.rounds} rounds: "
        f"about {chosen.minutes:.0f} minutes"
    )
    bench.compare(wish.cases, wish.contestants)
    if {"start", "memory"} & set(wish.others):
        bench.take_footprints(wish.contestants)
    if "start" in wish.others:
        bench.compare_starts([each for each in wish.contestants if each.role == PEER])
    if "onnx-cnn" in wish.others:
        return [cnn.measure(chosen.rounds, chosen.seconds, progress)]
    return []


def schedule(wish: Options) -> Plan:
    """How long each side takes."""
    duels = []
    for model in (Model.IRIS, Model.IMAGE):
        own = [case for case in wish.cases if case.model is model]
        asked = [(each, sum(each.takes(case) for case in own)) for each in wish.contestants]
        duels += [Duel(count, each.start_seconds) for each, count in asked if count]
    duels += [Duel(1, 0.0) for case in wish.cases if case.name in ("image-json", "two-processes")]
    extra = CNN_SECONDS * ("onnx-cnn" in wish.others)
    extra += START_SECONDS * (wish.rounds if "start" in wish.others else 0)
    if wish.seconds is not None:
        return fixed(duels, wish.rounds, wish.seconds, extra)
    return plan(duels, wish.rounds, wish.minutes, extra)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
