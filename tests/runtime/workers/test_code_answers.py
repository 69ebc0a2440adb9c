"""A model.py behind the doors: what its methods get, and what becomes of what they return and raise."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import pytest

from tests.runtime.conftest import SERVE, RuntimeProcess, wait_for
from tests.runtime.protobufs import classes

CODE = '''
import asyncio
import numpy as np
from haizen_runtime import InvalidInput, Model

class Teapot(Exception):
    pass

class OutOfMemoryError(RuntimeError):
    """As torch names it."""

class Code(Model):
    max_concurrency = 4

    async def load(self):
        await asyncio.sleep(0)
        self.offset = float((self.directory / "offset.txt").read_text())
        self.running = self.most = 0

    def preprocess(self, inputs):
        return next(iter(inputs.values())) if len(inputs) == 1 else inputs

    async def predict(self, x):
        if isinstance(x, dict):
            return {"total": x["a"] + x["b"], "label": np.array([b"sum"] * len(x["a"]), dtype=object)}
        if x.dtype.kind == "O":
            text = x[0].decode()
            if text == "bad":
                raise InvalidInput("bad is not good")
            if text == "teapot":
                raise Teapot("I am a teapot" + chr(10) + "and secret lines")
            if text == "memory":
                raise OutOfMemoryError("CUDA out of memory at 0x1234")
            if text == "exit":
                raise SystemExit(7)
            if text == "cancel":
                raise asyncio.CancelledError("gone")
            if text == "surrogate":
                raise ValueError("a" + chr(0xDC80))
            if text == "odd name":
                return {chr(0xDC80): [1]}
            if text == "names":
                return {"x" * 1000 + str(n): [n] for n in range(5000)}
            if text == "nothing":
                return None
            if text == "ragged":
                return [[1], [1, 2]]
            if text == "rows":
                return [{"word": "a", "score": 0.5}, {"word": "b", "score": 0.25}]
            if text == "kserve":
                return {"predictions": [1, 2, 3]}
            if text == "together":
                self.running += 1
                self.most = max(self.most, self.running)
                while self.most < 4:
                    await asyncio.sleep(0.005)
                self.running -= 1
                return [self.most]
            return np.char.upper(x.astype(str))
        x += self.offset  # what comes in may be changed
        return x

    def postprocess(self, outputs):
        return outputs
'''


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    directory = tmp_path_factory.mktemp("code")
    (directory / "model.py").write_text(CODE)
    (directory / "offset.txt").write_text("10")
    runtime = RuntimeProcess(
        [*SERVE, "--model_name=code", f"--model_dir={directory}", "--allow_code"], {}
    )  # fmt: skip
    try:
        runtime.wait_ready()
        yield runtime.url
    finally:
        runtime.stop()


def text(url: str, word: str) -> httpx.Response:
    body = {"inputs": [{"name": "x", "shape": [1], "datatype": "BYTES", "data": [word]}]}
    return httpx.post(f"{url}/v2/models/code/infer", json=body, timeout=60)


def test_v1_and_v2_get_the_same(url: str) -> None:
    v1 = httpx.post(f"{url}/v1/models/code:predict", json={"instances": [[1.5, 2], [3, 4]]})
    assert v1.json() == {"predictions": [[11.5, 12], [13, 14]]}
    body = {"inputs": [{"name": "x", "shape": [2, 2], "datatype": "FP32", "data": [1.5, 2, 3, 4]}]}
    v2 = httpx.post(f"{url}/v2/models/code/infer", json=body)
    (output,) = v2.json()["outputs"]
    assert output == {"name": "output-0", "datatype": "FP32", "shape": [2, 2], "data": [11.5, 12, 13, 14]}


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        pytest.param("hello", ("OK", b"HELLO"), id="answer"),
        pytest.param("bad", ("INVALID_ARGUMENT", "bad is not good"), id="known-class"),
        pytest.param("teapot", ("INTERNAL", "The model failed: Teapot: I am a teapot"), id="any-class"),
        pytest.param("memory", ("UNAVAILABLE", "The model ran out of memory on this request."), id="out-of-memory"),
    ],
)
def test_grpc_gets_the_same(url: str, word: str, expected: tuple[str, Any]) -> None:
    messages = classes()
    raw = np.array([len(word)], "<u4").tobytes() + word.encode()
    request = messages.ModelInferRequest(model_name="code", raw_input_contents=[raw])
    request.inputs.add(name="x", datatype="BYTES", shape=[1])
    with grpc.insecure_channel(url.removeprefix("http://")) as channel:
        call = channel.unary_unary(
            "/inference.GRPCInferenceService/ModelInfer",
            messages.ModelInferRequest.SerializeToString,
            messages.ModelInferResponse.FromString,
        )
        try:
            answer = call(request, timeout=60)
            told = ("OK", answer.raw_output_contents[0][4:])
        except grpc.RpcError as error:
            told = (error.code().name, error.details())
    assert told == expected


def test_rows_that_are_objects_are_named_arrays(url: str) -> None:
    answer = httpx.post(f"{url}/v1/models/code:predict", json={"instances": [{"a": 1, "b": 2}, {"a": 3, "b": 4}]})
    assert answer.json() == {"predictions": [{"total": 3, "label": "sum"}, {"total": 7, "label": "sum"}]}


@pytest.mark.parametrize(
    ("word", "outputs"),
    [
        pytest.param("hello", {"output-0": ["HELLO"]}, id="text"),
        pytest.param("rows", {"word": ["a", "b"], "score": [0.5, 0.25]}, id="rows"),
        pytest.param("kserve", {"output-0": [1, 2, 3]}, id="predictions"),
    ],
)
def test_returns(url: str, word: str, outputs: dict[str, Any]) -> None:
    answer = text(url, word)
    assert answer.status_code == 200, answer.text
    assert {each["name"]: each["data"] for each in answer.json()["outputs"]} == outputs


@pytest.mark.parametrize(
    ("word", "status", "message"),
    [
        pytest.param("bad", 400, "bad is not good", id="known-class"),
        pytest.param("teapot", 500, "The model failed: Teapot: I am a teapot", id="any-class"),
        pytest.param("memory", 503, "The model ran out of memory on this request.", id="out-of-memory"),
        pytest.param("exit", 500, "The model failed: its code called sys.exit.", id="exit"),
        pytest.param("cancel", 500, "The model failed: CancelledError: gone", id="cancelled"),
        pytest.param("surrogate", 500, "The model failed: ValueError: a?", id="no-text"),
        pytest.param("nothing", 500, "The model returned nothing: predict and postprocess must return their result.",
                     id="nothing"),
        pytest.param("ragged", 500, 'Output "output-0" has rows of different lengths.', id="ragged"),
    ],
)  # fmt: skip
def test_errors_have_a_message_and_no_traceback(url: str, word: str, status: int, message: str) -> None:
    answer = text(url, word)
    assert (answer.status_code, answer.json()) == (status, {"error": message})
    assert text(url, "fine").status_code == 200


def test_a_wanted_output_must_exist(url: str) -> None:
    body = {
        "inputs": [{"name": "x", "shape": [1], "datatype": "FP64", "data": [1]}],
        "outputs": [{"name": "elsewhere"}],
    }
    answer = httpx.post(f"{url}/v2/models/code/infer", json=body)
    assert answer.status_code == 400
    assert answer.json() == {"error": 'Output "elsewhere" does not exist; the model gave output-0.'}


def test_coroutines_run_at_once_in_one_process(url: str) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(4) as clients:
        answers = list(clients.map(lambda _: text(url, "together"), range(4)))
    assert [answer.status_code for answer in answers] == [200] * 4


def test_a_traceback_is_in_the_log(serve_code: Callable[..., Any]) -> None:
    runtime = serve_code(
        """
        class Code:
            def predict(self, inputs):
                return 1 / 0
        """
    )
    body = {"inputs": [{"name": "x", "shape": [1], "datatype": "FP64", "data": [1]}]}
    answer = httpx.post(f"{runtime.url}/v2/models/code/infer", json=body)
    assert answer.json() == {"error": "The model failed: ZeroDivisionError: division by zero"}
    runtime.terminate()
    assert runtime.wait_exit() == 0
    assert 'model.py", line 4, in predict\n' in runtime.log


def test_declared_inputs_are_checked(serve_code: Callable[..., Any]) -> None:
    runtime = serve_code(
        """
        from haizen_runtime import Model

        class Code(Model):
            def predict(self, inputs):
                return {"sum": inputs["left"] + inputs["right"]}

            def get_input_types(self):
                return [{"name": name, "datatype": "INT32", "shape": [-1]} for name in ("left", "right")]

            def get_output_types(self):
                return [{"name": "sum", "datatype": "INT32", "shape": [-1]}]
        """
    )
    metadata = httpx.get(f"{runtime.url}/v2/models/code").json()
    assert [each["name"] for each in metadata["inputs"]] == ["left", "right"]
    assert metadata["outputs"] == [{"name": "sum", "datatype": "INT32", "shape": [-1]}]
    left = {"name": "left", "shape": [2], "datatype": "INT32", "data": [1, 2]}
    right = {**left, "name": "right"}
    good = httpx.post(f"{runtime.url}/v2/models/code/infer", json={"inputs": [left, right]})
    assert good.json()["outputs"][0]["data"] == [2, 4]
    missing = httpx.post(f"{runtime.url}/v2/models/code/infer", json={"inputs": [left]})
    assert missing.status_code == 400
    assert 'Input "right" is missing' in missing.json()["error"]


def test_requests_are_merged_when_the_class_says_so(tmp_path: Path, serve_code: Callable[..., Any]) -> None:
    from concurrent.futures import ThreadPoolExecutor

    runtime = serve_code(
        """
        import time
        from pathlib import Path
        from haizen_runtime import Model

        class Code(Model):
            max_batch_size = 8

            def predict(self, inputs):
                Path(__file__).with_name("begun").touch()
                while not Path(__file__).with_name("open").exists():
                    time.sleep(0.01)
                rows = inputs["x"]
                if (rows < 0).any():
                    raise ValueError("negative")
                return {"y": rows * 2, "size": [len(rows)] * len(rows)}
        """
    )

    def call(number: int) -> httpx.Response:
        body = {"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP64", "data": [number, number]}]}
        return httpx.post(f"{runtime.url}/v2/models/code/infer", json=body, timeout=60)

    queued = 'haizen_requests_queued{model_name="code",model_version="1"}'
    with ThreadPoolExecutor(24) as clients:
        first = clients.submit(call, 0)
        wait_for((tmp_path / "begun").exists, runtime.describe)
        others = [clients.submit(call, number) for number in range(1, 24)]
        wait_for(lambda: f"{queued} 23.0" in httpx.get(f"{runtime.url}/metrics").text, runtime.describe)
        (tmp_path / "open").touch()
        answers = [each.result() for each in (first, *others)]
    outputs = [{each["name"]: each["data"] for each in answer.json()["outputs"]} for answer in answers]
    assert [output["y"] for output in outputs] == [[2.0 * number] * 2 for number in range(24)]
    sizes = [output["size"][0] for output in outputs]
    assert Counter(sizes) == {1: 1, 8: 16, 7: 7}
    with ThreadPoolExecutor(8) as clients:
        mixed = list(clients.map(call, [1, -1, 2, 3, 4, 5, 6, 7]))
    assert [answer.status_code for answer in mixed] == [200, 500, *[200] * 6]


def test_code_needs_permission(tmp_path: Path, start_runtime: Callable[..., Any]) -> None:
    marker = tmp_path / "ran"
    (tmp_path / "model.py").write_text(f"open({str(marker)!r}, 'w')")
    runtime = start_runtime("--model_name=code", f"--model_dir={tmp_path}")
    assert runtime.wait_exit() == 5
    assert "--allow_code" in runtime.log
    assert not marker.exists()


def test_64_megabytes_there_and_back(serve_code: Callable[..., Any]) -> None:
    runtime = serve_code(
        """
        class Code:
            def predict(self, inputs):
                inputs["x"] += 1
                return inputs["x"]
        """
    )
    sent = np.random.default_rng(3).standard_normal(8_000_000)
    size = {"binary_data_size": sent.nbytes}
    tensor = {"name": "x", "shape": [8_000_000], "datatype": "FP64", "parameters": size}
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    answer = httpx.post(
        f"{runtime.url}/v2/models/code/infer",
        content=head + sent.tobytes(),
        headers={"inference-header-content-length": str(len(head)), "content-type": "application/octet-stream"},
        timeout=120,
    )
    assert answer.status_code == 200, answer.text[:300]
    came = np.frombuffer(answer.content, np.float64, offset=int(answer.headers["inference-header-content-length"]))
    assert np.array_equal(came, sent + 1)


@pytest.mark.parametrize(
    ("word", "says"),
    [pytest.param("odd name", "UnicodeEncodeError", id="no-text"), pytest.param("names", "TooLong", id="too-many")],
)
def test_outputs_that_cannot_be_sent_are_told(url: str, word: str, says: str) -> None:
    answer = text(url, word)
    assert answer.status_code == 500
    assert says in answer.json()["error"]
    assert text(url, "fine").status_code == 200


def test_a_request_of_too_many_names_is_refused_and_kills_nobody(serve_code: Callable[..., Any]) -> None:
    runtime = serve_code("import os\nclass Code:\n  def predict(self, inputs):\n    return [os.getpid()]\n")
    url = f"{runtime.url}/v2/models/code/infer"

    def request(count: int) -> httpx.Response:
        tensor = {"shape": [1], "datatype": "INT8", "data": [1]}
        inputs = [{"name": f"{number}{'x' * 1000}", **tensor} for number in range(count)]
        return httpx.post(url, json={"inputs": inputs}, timeout=120)

    before = request(3).json()["outputs"][0]["data"]
    refused = request(5000)
    assert refused.status_code == 400
    assert "Names and shapes" in refused.json()["error"]
    assert request(3).json()["outputs"][0]["data"] == before
