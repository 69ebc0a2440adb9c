"""A contestant that runs: started on its core, asked until it answers right, put to sleep while another is measured."""

import contextlib
import itertools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path

import grpc

from e2e.bench.cases import Case, Door, Model
from e2e.bench.contestant import Contestant, Launch, Place
from e2e.bench.environments import scratch_folder
from e2e.bench.process_tree import ProcessTree
from e2e.bench.questions import Question, WrongAnswerError, check, request_of
from e2e.grpc_client import SERVICE

START_LIMIT_SECONDS = 180.0
ANSWER_LIMIT_SECONDS = 60.0
_LARGEST = [("grpc.max_receive_message_length", 2**26), ("grpc.max_send_message_length", 2**26)]
NO_ANSWER = (OSError, HTTPException, grpc.RpcError, WrongAnswerError)
"""How asking fails."""
_marks = itertools.count()


class ServerError(RuntimeError):
    """A server that did not start, or that does not answer right; the message ends with its log."""


@dataclass(slots=True)
class Running:
    """A server that has given its first right answer."""

    contestant: Contestant
    model: Model
    launch: Launch
    tree: ProcessTree
    log: Path
    start_seconds: float = 0.0

    def address(self, door: Door) -> str:
        """Where that door is, as host:port."""
        return f"127.0.0.1:{self.launch.grpc_port if door is Door.GRPC else self.launch.http_port}"

    def request(self, door: Door, question: Question) -> bytes:
        """The bytes that ask a question."""
        path = self.launch.path or f"/v2/models/{self.model}/infer"
        return request_of(door, self.model, question, path, self.launch.input_name)

    def ask(self, door: Door, request: bytes, question: Question, limit_seconds: float = ANSWER_LIMIT_SECONDS) -> bytes:
        """The body of the answer. Raises one of NO_ANSWER."""
        if door is Door.GRPC:
            with grpc.insecure_channel(self.address(door), options=_LARGEST) as channel:
                message: bytes = channel.unary_unary(f"{SERVICE}/ModelInfer")(request, timeout=limit_seconds)
            check(door, question, message, {})
            return message
        host, _, port = self.address(door).partition(":")
        with socket.create_connection((host, int(port)), timeout=limit_seconds) as connection:
            connection.sendall(request)
            response = HTTPResponse(connection, method="POST")
            response.begin()
            body = response.read()
        if response.status != 200:
            raise WrongAnswerError(f"status {response.status}: {body[:300]!r}")
        check(door, question, body, {name.lower(): value for name, value in response.getheaders()})
        return body

    def prepare(self, case: Case, questions: list[Question], folder: Path) -> None:
        """Write every question and its answer, found right, for the load generator. Raises ServerError."""
        folder.mkdir(parents=True)
        for number, question in enumerate(questions):
            request = self.request(case.door, question)
            try:
                answer = self.ask(case.door, request, question)
            except NO_ANSWER as error:
                raise ServerError(f"{case.name}: {error}\n{self.log_tail()}") from error
            (folder / f"{number}.request").write_bytes(request)
            (folder / f"{number}.answer").write_bytes(answer)

    def sleep(self) -> None:
        """Take it off the processor until it is woken: an idle server must not cost another one anything."""
        self.tree.signal(signal.SIGSTOP)

    def wake(self) -> None:
        """Let it run."""
        self.tree.signal(signal.SIGCONT)

    def log_tail(self, lines: int = 15) -> str:
        """The end of what it said."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


@contextlib.contextmanager
def running(
    contestant: Contestant, model: Model, python: Path, model_folder: Path, answers: Path, first: Question
) -> Iterator[Running]:
    """Start a contestant and give it once its first answer was right; nothing of it is left afterwards.

    Raises ServerError when it ends, or has not answered right after three minutes.
    """
    folder = Path(
        tempfile.mkdtemp(prefix=f"{contestant.family or contestant.name[:8]}-".replace(" ", "-"), dir=scratch_folder())
    )
    http_port, grpc_port = free_ports(2)
    log = folder.with_suffix(".log")
    tree = ProcessTree(f"{os.getpid()}-{next(_marks)}")
    try:
        place = Place(model, folder, python, http_port, grpc_port, model_folder, answers)
        server = Running(contestant, model, contestant.launch(place), tree, log)
        with log.open("wb") as output:
            begun = time.monotonic()
            process = subprocess.Popen(
                ["taskset", "--cpu-list", ",".join(map(str, sorted(contestant.cores))), *server.launch.command],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True, cwd=folder,
                env=environment(python, {**server.launch.environment, **tree.environment}),
            )  # fmt: skip
        try:
            _wait_for_right_answer(server, process, first, begun)
            yield server
        finally:
            server.wake()
            process.terminate()
            tree.end(patience_seconds=3.0)
            process.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        log.unlink(missing_ok=True)


def environment(python: Path, additions: dict[str, str]) -> dict[str, str]:
    """A server's environment: its own programs first, and bytecode kept, or every start would compile it again."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    inherited["PATH"] = f"{python.parent}{os.pathsep}{inherited.get('PATH', os.defpath)}"
    return {**inherited, **additions}


def free_ports(count: int) -> list[int]:
    """So many ports that nobody listens on."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


def _wait_for_right_answer(
    server: Running, process: "subprocess.Popen[bytes]", question: Question, begun: float
) -> None:
    doors = server.contestant.doors[server.model]
    door = Door.GRPC if doors == {Door.GRPC} else Door.JSON if Door.JSON in doors else Door.BINARY
    request = server.request(door, question)
    problem: Exception | None = None
    while True:
        try:
            server.ask(door, request, question, START_LIMIT_SECONDS)
        except NO_ANSWER as error:
            problem = error
        else:
            server.start_seconds = time.monotonic() - begun
            return
        if process.poll() is not None:
            raise ServerError(f"it ended with {process.returncode}\n{server.log_tail()}")
        if time.monotonic() - begun > START_LIMIT_SECONDS:
            raise ServerError(f"no right answer after {START_LIMIT_SECONDS:.0f} s: {problem}\n{server.log_tail()}")
        time.sleep(0.01)
