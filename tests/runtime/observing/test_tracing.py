"""Traces: spans of real requests at a real OTLP receiver, and a collector that is gone, slow or broken."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from opentelemetry.sdk.trace import TracerProvider

from haizen_runtime.engine.model import Model
from haizen_runtime.observing.tracing import Tracing, is_wanted
from haizen_runtime.protocol.messages import InferenceRequest, InferenceResponse
from tests.runtime.collector import AT_ONCE, Collector
from tests.runtime.conftest import RuntimeProcess, wait_for
from tests.runtime.doors.grpc.conftest import PB, Client, target_of

BODY = {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP64", "data": [5.1, 3.5, 1.4, 0.2]}]}
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED, NOT_SAMPLED = f"00-{TRACE}-{PARENT}-01", f"00-{TRACE[::-1]}-{PARENT}-00"


@pytest.fixture
def start_traced(iris_dir: Path, start_runtime: Callable[..., RuntimeProcess]) -> Callable[..., RuntimeProcess]:
    def start(endpoint: str, *arguments: str, **environment: str) -> RuntimeProcess:
        runtime = start_runtime(
            "--model_name=iris", f"--model_dir={iris_dir}", "--allow_code", *arguments,
            OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, **{**AT_ONCE, **environment},
        )  # fmt: skip
        runtime.wait_ready()
        return runtime

    return start


def infer(runtime: RuntimeProcess, body: Any = BODY, **headers: str) -> httpx.Response:
    return httpx.post(f"{runtime.url}/v2/models/iris/infer", json=body, headers=headers, timeout=60)


def test_the_spans_of_a_request(collect: Callable[..., Collector], start_traced: Callable[..., RuntimeProcess]) -> None:
    collector = collect()
    runtime = start_traced(collector.url, "--access_log=all", K_SERVICE="iris-predictor")
    assert infer(runtime, traceparent=SAMPLED, **{"x-request-id": "one"}).status_code == 200
    wait_for(lambda: len(collector.spans) >= 3, runtime.describe)
    spans = {span["name"]: span for span in collector.spans}
    request, queue, execute = (spans[name] for name in ("POST /v2/models/{model}/infer", "queue", "execute"))
    assert len(collector.spans) == 3  # none of the probes
    assert {span["trace"] for span in spans.values()} == {TRACE}
    assert (request["parent"], queue["parent"], execute["parent"]) == (PARENT, request["id"], request["id"])
    assert request["start"] <= queue["start"] <= queue["end"] == execute["start"] <= execute["end"] <= request["end"]
    for span in (request, queue, execute):
        assert (span["haizen.model.name"], span["haizen.model.version"]) == ("iris", "1")
    assert execute["haizen.batch.requests"] == 1
    expected = {
        "kind": 2, "status": 0, "http.request.method": "POST", "http.route": "/v2/models/{model}/infer",
        "url.path": "/v2/models/iris/infer", "url.scheme": "http", "network.protocol.version": "1.1",
        "http.response.status_code": 200, "http.request.header.x-request-id": "one",
    }  # fmt: skip
    assert {name: request[name] for name in expected} == expected
    assert collector.resources[0]["service.name"] == "iris-predictor"
    wait_for(lambda: f"trace_id={TRACE}" in runtime.log, runtime.describe)


def test_calls_of_grpc_have_the_same_spans(
    collect: Callable[..., Collector], start_traced: Callable[..., RuntimeProcess]
) -> None:
    import numpy as np

    collector = collect()
    runtime = start_traced(collector.url, OTEL_SERVICE_NAME="mine", OTEL_EXPORTER_OTLP_COMPRESSION="gzip")
    client = Client(target_of(runtime))
    client.call("ServerLive", PB.ServerLiveRequest())
    array = np.array([[5.1, 3.5, 1.4, 0.2]])
    client.infer("iris", "FP64", array, metadata=[("traceparent", SAMPLED)])
    with pytest.raises(grpc.RpcError):
        client.infer("rose", "FP64", array, metadata=[("traceparent", SAMPLED)])
    client.channel.close()
    wait_for(lambda: len(collector.spans) >= 4, runtime.describe)
    good, bad = sorted(
        collector.named("inference.GRPCInferenceService/ModelInfer"), key=lambda span: span["rpc.grpc.status_code"]
    )
    assert (good["rpc.grpc.status_code"], bad["rpc.grpc.status_code"]) == (0, 5)
    assert (good["status"], bad["status"]) == (0, 0)  # a client's mistake is no error of the server
    assert (good["rpc.system"], good["rpc.service"]) == ("grpc", "inference.GRPCInferenceService")
    assert {span["parent"] for span in (*collector.named("queue"), *collector.named("execute"))} == {good["id"]}
    assert collector.resources[0]["service.name"] == "mine"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        pytest.param("/v1/models/iris:explain", {"instances": [1]}, id="explain"),
        pytest.param("/v2/models/iris/generate_stream", {"x": 1}, id="stream"),
    ],
)
def test_explanations_and_streams_have_the_same_spans(
    collect: Callable[..., Collector],
    start_traced: Callable[..., RuntimeProcess],
    tmp_path: Path,
    path: str,
    body: dict[str, Any],
) -> None:
    code = "class Code:\n  def predict(self, inputs):\n    yield [1]\n  def explain(self, inputs):\n    return [1]\n"
    (tmp_path / "model.py").write_text(code)
    collector = collect()
    runtime = start_traced(collector.url, f"--model_dir={tmp_path}")
    for _ in range(2):
        answer = httpx.post(runtime.url + path, json=body, headers={"traceparent": SAMPLED}, timeout=60)
        assert (answer.status_code, "1" in answer.text) == (200, True)
    wait_for(lambda: len(collector.spans) >= 6, runtime.describe)
    parents = {span["id"] for span in collector.named("POST")}
    assert [span["haizen.batch.requests"] for span in collector.named("execute")] == [1, 1]
    assert {span["parent"] for span in (*collector.named("queue"), *collector.named("execute"))} == parents


def test_a_request_that_waits_for_its_model_has_a_span_of_that(
    collect: Callable[..., Collector], start_runtime: Callable[..., RuntimeProcess], tmp_path: Path
) -> None:
    import numpy as np

    hold, code = tmp_path / "hold", tmp_path / "model/model.py"
    hold.touch()
    code.parent.mkdir()
    code.write_text(
        f"import time\nfrom pathlib import Path\nwhile Path({str(hold)!r}).exists(): time.sleep(0.05)\n"
        "class Code:\n  def predict(self, inputs): return [1]\n"
    )
    collector = collect()
    runtime = start_runtime("--model_name=iris", f"--model_dir={code.parent}", "--allow_code",
                            OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, **AT_ONCE)  # fmt: skip
    client = Client(target_of(runtime))
    with ThreadPoolExecutor(2) as pool:
        over_http = pool.submit(infer, runtime, traceparent=SAMPLED)
        array = np.array([[5.1, 3.5, 1.4, 0.2]])
        over_grpc = pool.submit(client.infer, "iris", "FP64", array, metadata=[("traceparent", SAMPLED)])
        held = 'haizen_requests_held{model_name="iris",model_version="1"} 2'
        wait_for(lambda: held in httpx.get(f"{runtime.url}/metrics", timeout=60).text, runtime.describe)
        hold.unlink()
        assert over_http.result().status_code == 200
        assert over_grpc.result().model_name == "iris"
    client.channel.close()
    wait_for(lambda: len(collector.spans) >= 8, runtime.describe)
    requests = {span["id"]: span for span in (*collector.named("POST"), *collector.named("inference."))}
    queues = {span["parent"]: span for span in collector.named("queue")}
    waits = collector.named("load_wait")
    assert {wait["parent"] for wait in waits} == set(requests) == set(queues)
    for wait in waits:
        request, queue = requests[wait["parent"]], queues[wait["parent"]]
        assert request["start"] <= wait["start"] < wait["end"] <= queue["start"]
        assert wait["haizen.model.name"] == "iris"


CODE_WITH_SPANS = """
import asyncio
from opentelemetry import trace
{setup}
tracer = trace.get_tracer("mine")

class Code:
    {predict}
        with tracer.start_as_current_span("outer"):
            {inside}
            with tracer.start_as_current_span("inner", attributes=dict(x=float(inputs["x"].ravel()[0]))):
                {answer}
    def explain(self, inputs):
        with tracer.start_as_current_span("outer"), tracer.start_as_current_span("inner"):
            return [1]
    def get_input_types(self):
        return [dict(name="x", datatype="FP64", shape=[-1, 1])]
"""
ANSWERS = 'return {"y": [1]}'
OWN_PROVIDER = """
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(provider)
"""
ORDINARY = {"setup": "", "predict": "def predict(self, inputs):", "inside": "pass", "answer": ANSWERS}
COROUTINE = {**ORDINARY, "predict": "async def predict(self, inputs):", "inside": "await asyncio.sleep(0.1)"}
STREAM = {**COROUTINE, "answer": "yield [1]"}
V1_ROWS, V2_ROW = {"instances": [[1]]}, {"inputs": [{"name": "x", "shape": [1, 1], "datatype": "FP64", "data": [1]}]}


@pytest.mark.parametrize(
    ("code", "path", "body"),
    [
        pytest.param(ORDINARY, "/v2/models/iris/infer", V2_ROW, id="ordinary"),
        pytest.param({**ORDINARY, "setup": OWN_PROVIDER}, "/v2/models/iris/infer", V2_ROW, id="own-provider"),
        pytest.param(COROUTINE, "/v2/models/iris/infer", V2_ROW, id="coroutine"),
        pytest.param(ORDINARY, "/v1/models/iris:explain", V1_ROWS, id="explain"),
        pytest.param(STREAM, "/v2/models/iris/generate_stream", {"x": [[1]]}, id="stream"),
    ],
)
def test_spans_of_model_code_are_part_of_their_request(
    collect: Callable[..., Collector],
    start_traced: Callable[..., RuntimeProcess],
    tmp_path: Path,
    code: dict[str, str],
    path: str,
    body: Any,
) -> None:
    """Also of requests that run at the same time; one that is not sampled has none in the worker either."""
    (tmp_path / "model.py").write_text(CODE_WITH_SPANS.format(**code))
    collector = collect()
    runtime = start_traced(collector.url, f"--model_dir={tmp_path}")
    traces = [f"{number:032x}" for number in range(1, 5)]

    def send(trace: str, flags: str = "01") -> bool:
        headers = {"traceparent": f"00-{trace}-{PARENT}-{flags}"}
        answer = httpx.post(runtime.url + path, json=body, headers=headers, timeout=60)
        return answer.status_code == 200 and "error" not in answer.text

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(send, traces))
    assert send("f" * 32, "00")
    wait_for(lambda: len(collector.spans) >= 4 * 5, runtime.describe)
    for trace in traces:
        spans = {span["name"]: span for span in collector.spans if span["trace"] == trace}
        assert sorted(spans)[1:] == ["execute", "inner", "outer", "queue"]
        assert (spans["inner"]["parent"], spans["outer"]["parent"]) == (spans["outer"]["id"], spans["execute"]["id"])
        assert spans["execute"]["start"] <= spans["inner"]["start"] <= spans["inner"]["end"] <= spans["execute"]["end"]
    assert len(collector.spans) == 4 * 5
    assert "Traceback" not in runtime.log


def test_of_requests_that_share_a_batch_the_first_has_the_spans_of_the_code(
    collect: Callable[..., Collector], start_traced: Callable[..., RuntimeProcess], tmp_path: Path
) -> None:
    code = CODE_WITH_SPANS.format(**{**ORDINARY, "answer": "return dict(y=inputs['x'])"})
    (tmp_path / "model.py").write_text(code + "\n    max_batch_size = 8\n")
    collector = collect()
    runtime = start_traced(
        collector.url,
        f"--model_dir={tmp_path}",
        "--batching=fixed",
        "--max_batch_delay_seconds=60",
        "--max_batch_rows=2",
    )  # fmt: skip
    headers = [{"traceparent": f"00-{number:032x}-{PARENT}-01"} for number in (1, 2)]
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda each: infer(runtime, V2_ROW, **each).status_code, headers))
    assert answers == [200, 200]
    wait_for(lambda: len(collector.spans) >= 8, runtime.describe)
    executes = {span["id"]: span for span in collector.named("execute")}
    assert [span["haizen.batch.requests"] for span in executes.values()] == [2, 2]
    (outer,) = collector.named("outer")
    assert outer["trace"] == executes[outer["parent"]]["trace"]


def test_the_caller_decides_what_is_sampled(
    collect: Callable[..., Collector], start_traced: Callable[..., RuntimeProcess]
) -> None:
    collector = collect()
    runtime = start_traced(collector.url)
    infer(runtime, traceparent=NOT_SAMPLED)
    infer(runtime, {"inputs": []}, traceparent=SAMPLED)
    infer(runtime, traceparent="00-garbage-01")
    wait_for(lambda: len(collector.named("POST")) >= 2, runtime.describe)
    assert NOT_SAMPLED.split("-")[1] not in {span["trace"] for span in collector.spans}
    assert sorted(span["http.response.status_code"] for span in collector.named("POST")) == [200, 400]


def test_paths_of_no_endpoint_make_no_names_of_spans(
    collect: Callable[..., Collector], start_traced: Callable[..., RuntimeProcess]
) -> None:
    collector = collect()
    runtime = start_traced(collector.url)
    for number in range(5):
        httpx.get(f"{runtime.url}/no/such/{number}")
        httpx.request(f"VERB{number}", f"{runtime.url}/v1/models/{number}/versions/{number}:predict")
    httpx.post(f"{runtime.url}/v2/health/live")
    httpx.get(f"{runtime.url}/metrics")
    wait_for(lambda: len(collector.spans) >= 10, runtime.describe)
    names = {span["name"] for span in collector.spans}
    assert names == {"GET", "_OTHER /v1/models/{model}/versions/{version}:predict"}


@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param(None, id="never-answers"),
        pytest.param(503, id="is-overloaded"),
        pytest.param(400, id="takes-nothing"),
        pytest.param("gone", id="is-not-there"),
    ],
)
def test_a_bad_collector_hurts_nobody(
    collect: Callable[..., Collector], start_traced: Callable[..., RuntimeProcess], behaviour: Any
) -> None:
    """More spans than the queue takes, answered all the same; an end in time; few lines in the log."""
    collector = collect(lambda: behaviour)
    url = collector.url
    if behaviour == "gone":
        collector.shutdown()
        collector.server_close()
    runtime = start_traced(url, OTEL_BSP_MAX_QUEUE_SIZE="64", OTEL_BSP_MAX_EXPORT_BATCH_SIZE="16")

    def client(_: int) -> set[int]:
        with httpx.Client(base_url=runtime.url, timeout=60) as session:
            return {session.post("/v2/models/iris/infer", json=BODY).status_code for _ in range(100)}

    with ThreadPoolExecutor(4) as pool:
        assert set().union(*pool.map(client, range(4))) == {200}
    if behaviour != "gone":
        wait_for(lambda: collector.requests >= 1, runtime.describe)
    runtime.terminate()
    assert runtime.wait_exit() == 0, runtime.log
    assert len(runtime.lines) < 12, runtime.log
    assert "Traceback" not in runtime.log


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        pytest.param({}, False, id="nothing"),
        pytest.param({"OTEL_SERVICE_NAME": "x", "OTEL_TRACES_SAMPLER": "always_on"}, False, id="only-other-variables"),
        pytest.param({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, True, id="endpoint"),
        pytest.param({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4318/v1/traces"}, True, id="endpoint-of-traces"),
        pytest.param({"OTEL_TRACES_EXPORTER": "otlp"}, True, id="exporter"),
        pytest.param({"OTEL_TRACES_EXPORTER": "console, otlp"}, True, id="several"),
        pytest.param({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c"}, False, id="none"),
        pytest.param({"OTEL_TRACES_EXPORTER": "zipkin", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c"}, False, id="zipkin"),
        pytest.param({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_SDK_DISABLED": "true"}, False, id="disabled"),
    ],
)
def test_the_standard_variables_turn_it_on(environment: dict[str, str], wanted: bool) -> None:
    assert is_wanted(environment) is wanted


def test_off_imports_nothing_of_it() -> None:
    code = (
        "import sys, haizen_runtime.serving\n"
        "from haizen_runtime.observing.tracing import start_tracing\n"
        "assert start_tracing({}) is None\n"
        "sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_without_the_library_it_is_off_with_a_warning(start_program: Callable[..., Any], iris_dir: Path) -> None:
    runtime = start_program(
        "-c",
        "import sys; sys.modules['opentelemetry.sdk'] = None\n"
        "from haizen_runtime.main import main; sys.exit(main(sys.argv[1:]))",
        "--host=127.0.0.1", "--http_port=0", "--model_name=iris", f"--model_dir={iris_dir}", "--allow_code",
        OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9",
    )  # fmt: skip
    runtime.wait_ready()
    wait_for(lambda: "OpenTelemetry is not installed (haizen[tracing])" in runtime.log, runtime.describe)


@pytest.mark.parametrize("recorded", [True, False])
def test_a_request_is_followed_before_its_answer_is_awaited(recorded: bool) -> None:
    """Its batch may run before that, on a thread."""
    tracing = Tracing(TracerProvider())
    model = Model("iris", "1", lambda: pytest.fail("nothing is loaded here"))
    request, response = InferenceRequest("iris", []), InferenceResponse("iris", "1", [])

    async def run() -> None:
        answer = asyncio.get_running_loop().create_future()
        followed = tracing.follow(model, request, answer)
        assert request.timing is not None
        assert request.timing.recorded == recorded
        answer.set_result(response)
        assert await followed is response

    if recorded:
        with tracing.tracer.start_as_current_span("request"):
            asyncio.run(run())
    else:
        asyncio.run(run())
