"""One run: haizen beside every other contestant, in turns, each asleep while the other one is measured."""

import contextlib
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path

from e2e.bench import environments, json_pair, loadgen
from e2e.bench.bars import FLOOR, JSON_PAIR, PEER
from e2e.bench.cases import Case, Door, Model
from e2e.bench.contestant import Contestant
from e2e.bench.figures import Figures, Footprint, Pair, Round
from e2e.bench.model_files import ModelFiles
from e2e.bench.peers.haizen import HAIZEN, ONE_PROCESS, TWO_PROCESSES
from e2e.bench.questions import Question, questions_of
from e2e.bench.schedule import WARMUP_SECONDS, Plan
from e2e.bench.servers import Running, running
from e2e.cluster.progress import Progress
from e2e.grpc_client import SERVICE

START_WITHIN = 2.0
"""Starts are repeated against the peers whose first one took at most so many times the quickest one."""


@dataclass(slots=True)
class Seen:
    """Everything a run found out."""

    pairs: list[Pair] = field(default_factory=list)
    footprints: list[Footprint] = field(default_factory=list)
    starts: list[Pair] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)
    """Who could not be measured, and why."""


class Run:
    """The servers, the load and what is kept of both."""

    def __init__(self, plan: Plan, folder: Path, progress: Progress) -> None:
        self.plan = plan
        self.seen = Seen()
        self._folder = folder
        self._progress = progress
        self._files = ModelFiles(folder / "models")
        self.loadgen = loadgen.program(progress)
        self._questions: dict[Model, list[Question]] = {}

    def compare(self, cases: Sequence[Case], contestants: Sequence[Contestant]) -> None:
        """All cases against all contestants, model by model."""
        for model in dict.fromkeys(case.model for case in cases if case.model is not Model.COMPUTE):
            own = [case for case in cases if case.model is model]
            with self._failures(f"{HAIZEN.name}, {model}"), self.start(HAIZEN, model) as ours:
                before = _footprint(ours)
                ours.sleep()
                for other in contestants:
                    asked = [case for case in own if other.takes(case)]
                    if asked:
                        self._compare_with(ours, other, asked)
                for case in own:
                    if case.model is Model.IMAGE and case.door is Door.JSON:
                        self._compare_with_json_pair(ours, case)
                if model is Model.IRIS:
                    self.seen.footprints.insert(0, _after_load(before, ours))
        for case in cases:
            if case.model is Model.COMPUTE:
                self._compare_processes(case)

    def take_footprints(self, contestants: Sequence[Contestant]) -> None:
        """Start once, for its figures, each of those that no case of iris has started."""
        known = {each.name for each in self.seen.footprints} | set(self.seen.failures)
        for contestant in (HAIZEN, *contestants):
            if contestant.name not in known and Model.IRIS in contestant.doors:
                step = self._progress.step(f"start {contestant.name}")
                with self._failures(contestant.name), step, self.start(contestant, Model.IRIS) as server:
                    self.seen.footprints.append(_footprint(server))

    def compare_starts(self, contestants: Sequence[Contestant]) -> None:
        """Starts in turns, against the peers that are near the quickest one."""
        peers = [each for each in self.seen.footprints if each.role == PEER]
        quickest = min((each.start_seconds for each in peers), default=0.0)
        for contestant in contestants:
            mine = [each for each in peers if each.name == contestant.name]
            if mine and mine[0].start_seconds <= quickest * START_WITHIN:
                pair = Pair("start", contestant.name, contestant.role)
                with self._failures(contestant.name), self._progress.step(f"starts beside {contestant.name}"):
                    for _ in range(self.plan.rounds):
                        pair.rounds.append(Round(self._start_once(HAIZEN), self._start_once(contestant)))
                    self.seen.starts.append(pair)

    def start(self, contestant: Contestant, model: Model) -> AbstractContextManager[Running]:
        """Start a contestant on a model; it is awake, and has answered right."""
        python = environments.python_of(contestant.environment, self._progress)
        models = self._files.folder_of(model, python)
        return running(contestant, model, python, models, self._files.answers(), self.questions(model)[0])

    def questions(self, model: Model) -> list[Question]:
        """The model's questions, made once."""
        if model not in self._questions:
            self._questions[model] = questions_of(model)
        return self._questions[model]

    def prepare(self, server: Running, case: Case) -> Path:
        """Ask all questions once; returns the folder of the calls with their right answers."""
        folder = self._folder / "calls" / f"{case.name} {server.contestant.name}"
        shutil.rmtree(folder, ignore_errors=True)
        server.prepare(case, self.questions(case.model), folder)
        return folder

    def load(self, server: Running, case: Case, calls: Path, seconds: float) -> Figures:
        """Load an awake server for so long after the warm-up."""
        return loadgen.run(
            self.loadgen,
            loadgen.Task(
                "grpc" if case.door is Door.GRPC else "http", server.address(case.door), str(calls), case.connections,
                seconds, WARMUP_SECONDS, f"{SERVICE}/ModelInfer",
            ),
        )  # fmt: skip

    def _compare_with(self, ours: Running, other: Contestant, cases: Sequence[Case]) -> None:
        step = f"{other.name}: {', '.join(case.name for case in cases)}"
        with self._failures(other.name), self._progress.step(step), self.start(other, cases[0].model) as theirs:
            before = _footprint(theirs)
            for case in cases:
                self._take_turns(ours, theirs, case)
            if cases[0].model is Model.IRIS:
                self.seen.footprints.append(_after_load(before, theirs))

    def _take_turns(self, ours: Running, theirs: Running, case: Case) -> None:
        pair = Pair(case.name, theirs.contestant.name, theirs.contestant.role)
        calls = []
        for server in (ours, theirs):
            with _awake(server):
                calls.append(self.prepare(server, case))
        for _ in range(self.plan.rounds):
            figures = []
            for server, folder in zip((ours, theirs), calls, strict=True):
                with _awake(server):
                    figures.append(self.load(server, case, folder, self.plan.seconds))
            pair.rounds.append(Round(*figures))
        self.seen.pairs.append(pair)

    def _compare_processes(self, case: Case) -> None:
        with (
            self._failures(case.name), self._progress.step(case.name),
            self.start(TWO_PROCESSES, case.model) as two, self.start(ONE_PROCESS, case.model) as one,
        ):  # fmt: skip
            self._take_turns(two, one, case)
            self.seen.pairs[-1].role = FLOOR

    def _compare_with_json_pair(self, ours: Running, case: Case) -> None:
        with self._failures(JSON_PAIR), self._progress.step(f"{JSON_PAIR}: {case.name}"):
            with _awake(ours):
                calls = self.prepare(ours, case)
            body = json_pair.body_file((calls / "0.request").read_bytes(), self._folder)
            python = environments.python_of("json", self._progress)
            fastest = json_pair.fastest(python, body)
            self._progress.say(f"  fastest: {fastest.text}")
            pair = Pair(case.name, JSON_PAIR, FLOOR)
            for _ in range(self.plan.rounds):
                with _awake(ours):
                    mine = self.load(ours, case, calls, self.plan.seconds)
                pair.rounds.append(Round(mine, json_pair.measure(python, body, fastest, self.plan.seconds)))
            self.seen.pairs.append(pair)

    def _start_once(self, contestant: Contestant) -> Figures:
        with self.start(contestant, Model.IRIS) as server:
            milliseconds = server.start_seconds * 1000
        return Figures(1000 / milliseconds, milliseconds, milliseconds, 1)

    @contextlib.contextmanager
    def _failures(self, name: str) -> Iterator[None]:
        """Note who could not be measured, and go on with the others."""
        try:
            yield
        except (RuntimeError, OSError, subprocess.SubprocessError) as error:
            self.seen.failures[name] = str(error)
            self._progress.say(f"  {name} is left out: {error}")


@contextlib.contextmanager
def _awake(server: Running) -> Iterator[None]:
    server.wake()
    try:
        yield
    finally:
        server.sleep()


def _footprint(server: Running) -> Footprint:
    tree, contestant = server.tree, server.contestant
    return Footprint(contestant.name, contestant.role, server.start_seconds, tree.memory_mib(), len(tree.pids()))


def _after_load(before: Footprint, server: Running) -> Footprint:
    return replace(before, memory_after_load_mib=server.tree.memory_mib())
