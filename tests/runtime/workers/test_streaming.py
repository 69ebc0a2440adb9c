"""Model code that yields: server-sent events as they are made, and its end when nobody reads any more."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.runtime.conftest import SERVE, RuntimeProcess, wait_for
from tests.runtime.processes.conftest import children_of
from tests.runtime.workers.streaming_code import CODE


@pytest.fixture(scope="module")
def notes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("streaming")


@pytest.fixture(scope="module")
def url(notes: Path) -> Iterator[str]:
    (notes / "model.py").write_text(CODE)
    runtime = RuntimeProcess(
        [*SERVE, "--model_name=code", f"--model_dir={notes}", "--allow_code", "--worker_timeout_seconds=30"], {}
    )
    try:
        runtime.wait_ready()
        yield f"{runtime.url}/v2/models/code"
    finally:
        runtime.stop()


def generate_stream(url: str, word: str, headers: dict[str, str] | None = None, **parameters: Any) -> httpx.Response:
    return httpx.post(f"{url}/generate_stream", json={"word": word, **parameters}, headers=headers, timeout=60)


def events(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.text.endswith("\n\n") or not answer.text
    lines = answer.text.split("\n\n")[:-1]
    assert all(line.startswith("data: ") for line in lines)
    return [json.loads(line.removeprefix("data: ")) for line in lines]


@pytest.mark.parametrize("path", ["", "/versions/1"])
def test_each_item_is_an_event(url: str, path: str) -> None:
    answer = generate_stream(url + path, "hello", count=2)
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-cache")
    assert events(answer) == [
        {"model_name": "code", "model_version": "1", "text": "hello", "number": number} for number in range(2)
    ]


def test_events_come_when_they_are_made(url: str, notes: Path) -> None:
    """The second one is not made before the first one is there; nor later, because its client goes."""
    with httpx.stream("POST", f"{url}/generate_stream", json={"word": "slow", "stop_at": 1}) as answer:
        first = next(line for line in answer.iter_lines() if line)
        assert json.loads(first.removeprefix("data: "))["number"] == 0
    end = notes / "slow.end"
    wait_for(lambda: end.exists() and end.read_text() in ("CancelledError", "GeneratorExit"))
    assert (notes / "slow.note").read_text() == "1"
    assert len(events(generate_stream(url, "after"))) == 3


@pytest.mark.parametrize("count", [0, 1, 2])
def test_generate_wants_one_answer(url: str, count: int) -> None:
    body = {"id": "7", "word": "one", "parameters": {"count": count}}
    answer = httpx.post(f"{url}/generate", json=body)
    if count == 1:
        assert answer.json() == {"model_name": "code", "model_version": "1", "id": "7", "text": "one", "number": 0}
    else:
        assert answer.status_code == 400
        assert "generate expects model to produce exactly 1 response" in answer.json()["error"]
    assert len(events(generate_stream(url, "none", count=count))) == count


@pytest.mark.parametrize(
    ("parameters", "status", "says"),
    [
        pytest.param({"fail_at": 0}, 400, "no further", id="code"),
        pytest.param({"crash_at": 0}, 503, "exit code 9", id="crash"),
        pytest.param({"count": {}}, 400, 'Field "count" is no input of the model', id="parameter"),
        pytest.param({"parameters": 1}, 400, '"parameters" to be an object', id="parameters"),
    ],
)
def test_an_error_before_the_first_answer_has_its_status(
    url: str, parameters: dict[str, Any], status: int, says: str
) -> None:
    answer = generate_stream(url, "early", **parameters)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/json")
    assert says in answer.json()["error"]


@pytest.mark.parametrize(
    ("parameters", "headers", "says"),
    [
        pytest.param({"fail_at": 2}, {}, "no further", id="code"),
        pytest.param({"crash_at": 2}, {}, "exit code 9", id="crash"),
        pytest.param(
            {"wait": 0.2, "count": 10_000}, {"x-envoy-expected-rq-timeout-ms": "5000"}, "before its deadline",
            id="deadline",
        ),
    ],
)  # fmt: skip
def test_an_error_in_the_middle_is_the_last_event(
    url: str, notes: Path, parameters: dict[str, Any], headers: dict[str, str], says: str
) -> None:
    assert events(generate_stream(url, "up"))  # its worker is there again, whatever came before
    word = f"middle{says[0]}"
    found = events(generate_stream(url, word, headers, **parameters))
    assert [each["number"] for each in found[:-1]] == list(range(len(found) - 1)) != []
    assert list(found[-1]) == ["error"]
    assert says in found[-1]["error"]
    if "wait" in parameters:
        wait_for(lambda: (notes / f"{word}.end").exists())


def test_a_client_that_does_not_read_holds_the_generator_back(url: str, notes: Path) -> None:
    end = notes / "held.end"
    with unread(url, "held", 100_000):
        assert made(notes / "held.note") < 200  # 20 MB: far from what was asked for
        assert not end.exists()
    wait_for(end.exists)


@contextmanager
def unread(url: str, word: str, size: int) -> Iterator[None]:
    """Ask for answers without end, of that many bytes each, and read none of them."""
    host, port = url.split("/")[2].split(":")
    body = json.dumps({"word": word, "size": size, "count": 100_000}).encode()
    with socket.create_connection((host, int(port))) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        head = b"POST /v2/models/code/generate_stream HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n"
        client.sendall(head % len(body) + body)
        yield


def made(note: Path, at_work: Callable[[], bool] = lambda: False) -> int:
    """How many answers were made once nothing moves any more: then the window is full, and what sockets hold."""
    wait_for(note.exists)
    count = still = 0

    def settled() -> bool:
        nonlocal count, still
        before, count = count, int(note.read_text() or 0)
        still = still + (not at_work()) if count == before else 0
        return still == 60

    wait_for(settled)
    return count


def runs(pid: int) -> bool:
    """Whether a thread of this process, or of those that it has started, runs or would if it had a CPU."""
    states = []
    for each in (pid, *children_of(pid)):
        for task in Path(f"/proc/{each}/task").iterdir():
            with suppress(FileNotFoundError, ProcessLookupError):  # this thread has ended just now
                states.append((task / "stat").read_text().rpartition(")")[2].split()[0])
    return any(state != "S" for state in states)


def test_the_window_is_what_the_settings_say(tmp_path: Path) -> None:
    """Each answer is larger than what sockets hold, so that only the window lets the generator go on."""
    many, size = 1 << 40, 8 << 20
    windows = ((1, many), (4, many), (4, 1), (4, size + 100))
    counts = [made_unread(tmp_path / f"{answers}-{room}", answers, room, size) for answers, room in windows]
    assert [count - counts[0] for count in counts] == [0, 3, 0, 1]


def made_unread(folder: Path, answers: int, window_bytes: int, answer_bytes: int) -> int:
    """How many answers of that size model code makes with such a window for a client that reads none."""
    folder.mkdir()
    (folder / "model.py").write_text(CODE)
    runtime = RuntimeProcess(
        [*SERVE, "--model_name=code", f"--model_dir={folder}", "--allow_code", f"--stream_window_answers={answers}",
         f"--stream_window_bytes={window_bytes}"], {},
    )  # fmt: skip
    try:
        runtime.wait_ready()
        with unread(runtime.url, "held", answer_bytes):
            return made(folder / "held.note", lambda: runs(runtime.process.pid))
    finally:
        runtime.stop()


@pytest.mark.parametrize(
    ("path", "body"),
    [
        pytest.param("/v1/models/code:predict", {"instances": [{"word": "x"}]}, id="v1"),
        pytest.param(
            "/v2/models/code/infer",
            {"inputs": [{"name": "word", "shape": [1], "datatype": "BYTES", "data": ["x"]}]},
            id="v2",
        ),
        pytest.param("/invocations", {"instances": [{"word": "x"}]}, id="sagemaker"),
    ],
)
def test_doors_for_one_answer_say_where_to_go(url: str, path: str, body: dict[str, Any]) -> None:
    answer = httpx.post(url.removesuffix("/v2/models/code") + path, json=body)
    assert answer.status_code == 400
    assert "/v2/models/code/generate_stream" in answer.json()["error"]


def test_streams_are_counted(url: str) -> None:
    def count(status: int) -> float:
        text = httpx.get(f"{url.removesuffix('/v2/models/code')}/metrics").text
        name = f'haizen_requests_total{{code="{status}",door="v2",model_name="code"}} '
        return next((float(line.removeprefix(name)) for line in text.splitlines() if line.startswith(name)), 0)

    before = count(200), count(400)
    generate_stream(url, "counted")
    generate_stream(url, "counted", fail_at=1)
    assert (count(200), count(400)) == (before[0] + 1, before[1] + 1)


def test_ordinary_generators_and_the_methods_around_them(serve_code: Callable[..., Any], tmp_path: Path) -> None:
    runtime = serve_code(
        """
        from pathlib import Path
        from haizen_runtime import Model

        class Code(Model):
            def preprocess(self, inputs):
                return inputs["start"][0]

            def predict(self, start):
                try:
                    for number in range(start, 10**9):
                        yield number
                finally:
                    Path(__file__).with_name("closed").touch()

            def postprocess(self, number):
                if number == 13:
                    raise ValueError("thirteen")
                return {"double": number * 2}
        """
    )
    answer = httpx.post(f"{runtime.url}/v2/models/code/generate_stream", json={"start": 10}, timeout=60)
    found = events(answer)
    assert [each.get("double") for each in found] == [20, 22, 24, None]
    assert "ValueError: thirteen" in found[-1]["error"]
    closed = tmp_path / "closed"
    wait_for(closed.exists)
    closed.unlink()
    with httpx.stream("POST", f"{runtime.url}/v2/models/code/generate_stream", json={"start": 100}) as endless:
        next(endless.iter_lines())
    wait_for(closed.exists)


def test_a_generator_that_hangs_is_ended_and_replaced(serve_code: Callable[..., Any]) -> None:
    runtime = serve_code(
        """
        import time
        class Code:
            def predict(self, inputs):
                yield [1]
                if inputs["hang"][0]:
                    time.sleep(3600)
        """,
        "--worker_timeout_seconds=5",
    )
    url = f"{runtime.url}/v2/models/code/generate_stream"
    found = events(httpx.post(url, json={"hang": True}, timeout=60))
    assert "did not answer within 5 s" in found[-1]["error"]
    assert len(events(httpx.post(url, json={"hang": False}, timeout=60))) == 1


def test_a_generator_that_waits_too_long_takes_no_other_call_along(serve_code: Callable[..., Any]) -> None:
    runtime = serve_code(
        """
        import asyncio
        class Code:
            async def predict(self, inputs):
                yield [1]
                await asyncio.sleep(inputs["seconds"][0])
        """,
        "--worker_timeout_seconds=5",
    )
    url = f"{runtime.url}/v2/models/code/generate_stream"
    found = events(httpx.post(url, json={"seconds": 3600}, timeout=60))
    assert found[-1] == {"error": "The model did not answer within 5 s."}
    assert len(events(httpx.post(url, json={"seconds": 0}, timeout=60))) == 1
    assert "a worker of model" not in runtime.log


def test_predict_that_only_returns_a_generator(serve_code: Callable[..., Any], tmp_path: Path) -> None:
    code = """
    from haizen_runtime import Model

    class Code(Model):
        def predict(self, inputs):
            return (number for number in range(2))
    """
    runtime = serve_code(code)
    refused = httpx.post(f"{runtime.url}/v2/models/code/generate", json={"x": 1})
    assert refused.status_code == 500
    assert "set decoupled = True" in refused.json()["error"]
    runtime.stop()
    runtime = serve_code(code.replace("def predict", "decoupled = True\n        def predict"))
    found = events(httpx.post(f"{runtime.url}/v2/models/code/generate_stream", json={"x": 1}))
    assert [each["output-0"] for each in found] == [0, 1]
