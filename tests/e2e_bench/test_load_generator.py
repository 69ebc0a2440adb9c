"""The load generator itself against small servers: what it counts is what came."""

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest

from e2e.bench import loadgen
from e2e.bench.loadgen import Task
from e2e.bench.questions import http_request
from e2e.cluster.progress import Progress

CONNECTIONS = 4


@pytest.fixture(scope="module")
def program() -> Path:
    return loadgen.program(Progress())


@pytest.fixture
def calls(tmp_path: Path) -> Path:
    for number, word in enumerate((b"one", b"three")):
        (tmp_path / f"{number}.request").write_bytes(http_request("/", word, {}))
        (tmp_path / f"{number}.answer").write_bytes(word)
    return tmp_path


class Echo(http.server.BaseHTTPRequestHandler):
    """Answers what came, in the way that its path of class attributes says."""

    protocol_version = "HTTP/1.1"
    status = 200
    chunked = False
    wrong = False

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        answer = body.upper() if self.wrong else body
        self.send_response(self.status)
        if self.chunked:
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(answer), answer))
        else:
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def serving(handler: type[Echo]) -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("chunked", [False, True], ids=["with a length", "in chunks"])
def test_right_answers_over_http(program: Path, calls: Path, chunked: bool) -> None:
    handler = type("Right", (Echo,), {"chunked": chunked})
    with serving(handler) as address:
        figures = loadgen.run(program, Task("http", address, str(calls), CONNECTIONS, calls=100))
    assert (figures.requests, figures.errors) == (100, 0)
    assert 0 < figures.p50_ms <= figures.p99_ms


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        pytest.param({"wrong": True}, 'wrong answer: "ONE" instead of "one"', id="another body"),
        pytest.param({"status": 503}, 'status 503: "one"', id="another status"),
    ],
)
def test_whatever_is_not_right_is_an_error(
    program: Path, calls: Path, attributes: dict[str, object], said: str
) -> None:
    with serving(type("Wrong", (Echo,), attributes)) as address:
        figures = loadgen.run(program, Task("http", address, str(calls), 1, calls=10))
    assert (figures.requests, figures.errors) == (0, 10)
    assert figures.error_samples[0] == said


def test_nobody_there_is_an_error_a_call(program: Path, calls: Path) -> None:
    with serving(Echo) as address:
        pass
    figures = loadgen.run(program, Task("http", address, str(calls), 1, calls=3))
    assert (figures.requests, figures.errors) == (0, 3)


@pytest.mark.parametrize(("answer", "right"), [(b"one", True), (b"two", False)], ids=["right", "wrong"])
def test_grpc(program: Path, tmp_path: Path, answer: bytes, right: bool) -> None:
    from concurrent.futures import ThreadPoolExecutor

    (tmp_path / "0.request").write_bytes(b"ask")
    (tmp_path / "0.answer").write_bytes(b"one")
    handler = grpc.unary_unary_rpc_method_handler(lambda request, context: answer)
    server = grpc.server(ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Echo", {"Call": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    task = Task("grpc", f"127.0.0.1:{port}", str(tmp_path), 2, method="/test.Echo/Call", streams=4, calls=200)
    figures = loadgen.run(program, task)
    server.stop(None).wait()
    assert (figures.requests, figures.errors) == ((200, 0) if right else (0, 200))
