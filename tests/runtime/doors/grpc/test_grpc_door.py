"""The gRPC door of a real process with gRPC's own client: every method, good and bad."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import pytest
from google.protobuf import descriptor_pb2

from tests.runtime.conftest import RuntimeProcess, wait_for
from tests.runtime.doors.grpc.conftest import PB, PROGRAM, SERVICE, Client, infer_request, target_of
from tests.runtime.protobufs import classes, file_descriptors
from tests.runtime.test_requests_before_the_model import LateModel, late  # noqa: F401  # a fixture

HEALTH, REFLECTION = classes("health.proto"), classes("reflection.proto")
ROW = np.array([[5.1, 3.5, 1.4, 0.2]])


def failure(call: Callable[[], Any]) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value.code(), caught.value.details()


def test_health_and_metadata(iris_client: Client) -> None:
    from haizen_runtime import __version__

    assert iris_client.call("ServerLive", PB.ServerLiveRequest()).live
    assert iris_client.call("ServerReady", PB.ServerReadyRequest()).ready
    assert iris_client.call("ModelReady", PB.ModelReadyRequest(name="iris")).ready
    assert iris_client.call("ModelReady", PB.ModelReadyRequest(name="iris", version="1")).ready
    server = iris_client.call("ServerMetadata", PB.ServerMetadataRequest())
    assert (server.name, server.version) == ("haizen-runtime", __version__)
    assert list(server.extensions)
    model = iris_client.call("ModelMetadata", PB.ModelMetadataRequest(name="iris"))
    assert (model.name, list(model.versions), model.platform) == ("iris", ["1"], "sklearn")
    (taken,), (given,) = model.inputs, model.outputs
    assert (taken.name, taken.datatype, list(taken.shape)) == ("input-0", "FP64", [-1, 4])
    assert (given.name, given.datatype, list(given.shape)) == ("output-0", "INT64", [-1])


@pytest.mark.parametrize(
    ("path", "message", "code", "says"),
    [
        pytest.param(SERVICE + "ModelReady", PB.ModelReadyRequest(name="rose"), "NOT_FOUND", "rose", id="model"),
        pytest.param(
            SERVICE + "ModelMetadata", PB.ModelMetadataRequest(name="iris", version="7"), "NOT_FOUND",
            "Model iris has no version 7; the versions it has: 1.", id="version",
        ),
        pytest.param(SERVICE + "TraceSetting", b"", "UNIMPLEMENTED", "No such method: /inference.GRPC", id="method"),
        pytest.param("/other.Service/Do", b"", "UNIMPLEMENTED", "No such method: /other.Service/Do", id="service"),
        pytest.param(SERVICE + "ModelInfer", b"\xff\xff", "INTERNAL", "ends inside a number", id="no-protobuf"),
        pytest.param(SERVICE + "ModelInfer", b"\x0a\x02\xff\xfe", "INTERNAL", "not UTF-8", id="no-utf8"),
        pytest.param(
            "/grpc.health.v1.Health/Check", HEALTH.HealthCheckRequest(service="x"), "NOT_FOUND", "no service x",
            id="health-service",
        ),
    ],
)  # fmt: skip
def test_calls_that_fail(iris_client: Client, path: str, message: Any, code: str, says: str) -> None:
    data = message if isinstance(message, bytes) else message.SerializeToString()
    status, details = failure(lambda: iris_client.raw(path, data))
    assert (status.name, says in details) == (code, True), details


def test_metadata_of_calls(iris_client: Client) -> None:
    message = infer_request("iris", "FP64", ROW, id="ü 7")
    answer, call = iris_client.whole("ModelInfer", message, metadata=[("x-request-id", "r-1"), ("other", "x")])
    assert (answer.id, answer.model_name, answer.model_version) == ("ü 7", "iris", "1")
    head = dict(call.initial_metadata())
    assert (head["x-request-id"], head["haizen-revision"]) == ("r-1", "iris-predictor-00001")
    assert call.code() is grpc.StatusCode.OK
    with pytest.raises(grpc.RpcError) as caught:
        iris_client.call("ModelReady", PB.ModelReadyRequest(name="ö%\n"))
    assert caught.value.details() == "Model with name ö%\n does not exist."


@pytest.mark.parametrize("compression", list(grpc.Compression), ids=str)
def test_compression_both_ways(iris_client: Client, compression: Any, iris_data: Any, iris_model: Any) -> None:
    rows = np.tile(iris_data[0], (10, 1))
    message = infer_request("iris", "FP64", rows)
    answer, call = iris_client.whole("ModelInfer", message, compression=compression)
    assert np.array_equal(np.frombuffer(answer.raw_output_contents[0], np.int64), iris_model.predict(rows))
    used = dict(call.initial_metadata()).get("grpc-encoding")  # gRPC's client may keep this to itself
    assert used in (None, {1: "deflate", 2: "gzip"}.get(int(compression)))


def test_health_service(iris_client: Client) -> None:
    check = "/grpc.health.v1.Health/Check"
    for service in ("", "inference.GRPCInferenceService"):
        data = iris_client.raw(check, HEALTH.HealthCheckRequest(service=service).SerializeToString())
        assert HEALTH.HealthCheckResponse.FromString(data).status == 1
    watch = iris_client.channel.unary_stream("/grpc.health.v1.Health/Watch")
    for service, status in (("", 1), ("x", 3)):
        answers = watch(HEALTH.HealthCheckRequest(service=service).SerializeToString(), timeout=60)
        assert HEALTH.HealthCheckResponse.FromString(next(answers)).status == status
        answers.cancel()


def test_health_is_watched_until_the_process_ends(late: LateModel) -> None:  # noqa: F811
    late.start()
    client = Client(late.url.removeprefix("http://"))
    answers = client.channel.unary_stream("/grpc.health.v1.Health/Watch")(b"", timeout=100)
    statuses = (HEALTH.HealthCheckResponse.FromString(each).status for each in answers)
    assert next(statuses) == 2
    late.release()
    assert next(statuses) == 1
    late.runtime.terminate()
    assert next(statuses) == 2
    assert failure(lambda: next(statuses))[0] is grpc.StatusCode.UNAVAILABLE
    assert late.runtime.wait_exit() == 0
    client.channel.close()


def test_calls_before_the_model_wait_for_it(late: LateModel) -> None:  # noqa: F811
    late.start()
    client = Client(late.url.removeprefix("http://"))
    method = client.channel.unary_unary(
        SERVICE + "ModelInfer", PB.ModelInferRequest.SerializeToString, PB.ModelInferResponse.FromString
    )
    waiting = [method.future(infer_request("iris", "FP64", ROW), timeout=100) for _ in range(5)]
    late.wait_held(5)
    gone = method.future(infer_request("iris", "FP64", ROW), timeout=100)
    late.wait_held(6)
    gone.cancel()
    late.wait_held(5)
    code, _ = failure(lambda: client.infer("iris", "FP64", ROW, timeout=0.3))
    assert code is grpc.StatusCode.DEADLINE_EXCEEDED
    assert failure(lambda: client.call("ModelMetadata", PB.ModelMetadataRequest(name="iris")))[0].name == "UNAVAILABLE"
    assert not client.call("ServerReady", PB.ServerReadyRequest()).ready
    late.release()
    for future in waiting:
        assert np.frombuffer(future.result().raw_output_contents[0], np.int64).tolist() == [0]
    client.channel.close()


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_reflection(iris_client: Client, version: str) -> None:
    info = iris_client.channel.stream_stream(
        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
        REFLECTION.ServerReflectionRequest.SerializeToString,
        REFLECTION.ServerReflectionResponse.FromString,
    )
    asked = [
        REFLECTION.ServerReflectionRequest(host="h", list_services="*"),
        REFLECTION.ServerReflectionRequest(file_containing_symbol="inference.GRPCInferenceService.ModelInfer"),
        REFLECTION.ServerReflectionRequest(file_by_filename="health.proto"),
        REFLECTION.ServerReflectionRequest(file_containing_symbol="inference.Nothing"),
        REFLECTION.ServerReflectionRequest(all_extension_numbers_of_type="inference.ModelInferRequest"),
        REFLECTION.ServerReflectionRequest(),
    ]
    services, symbol, file, unknown, extensions, nothing = info(iter(asked), timeout=60)
    assert (services.valid_host, services.original_request) == ("h", asked[0])
    assert {service.name for service in services.list_services_response.service} == {
        "inference.GRPCInferenceService", "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection",
    }  # fmt: skip
    for answer, name in ((symbol, "open_inference.proto"), (file, "health.proto")):
        (data,) = answer.file_descriptor_response.file_descriptor_proto
        assert descriptor_pb2.FileDescriptorProto.FromString(data) == file_descriptors(name).file[0]
    assert (unknown.error_response.error_code, nothing.error_response.error_code) == (5, 3)
    assert extensions.all_extension_numbers_response.base_type_name == "inference.ModelInferRequest"


def test_streams_answer_in_order_and_go_on_after_an_error(iris_client: Client, iris_data: Any, iris_model: Any) -> None:
    stream = iris_client.channel.stream_stream(
        SERVICE + "ModelStreamInfer",
        PB.ModelInferRequest.SerializeToString,
        PB.ModelStreamInferResponse.FromString,
    )
    requests = [infer_request("iris", "FP64", iris_data[0][index : index + 1], id=str(index)) for index in range(150)]
    requests[7] = PB.ModelInferRequest(model_name="rose")
    answers = list(stream(iter(requests), timeout=60))
    assert answers[7].error_message == "Model with name rose does not exist."
    expected = iris_model.predict(iris_data[0]).tolist()
    for index, answer in enumerate(answers):
        if index != 7:
            assert (answer.error_message, answer.infer_response.id) == ("", str(index))
            assert np.frombuffer(answer.infer_response.raw_output_contents[0], np.int64).tolist() == [expected[index]]
    assert len(answers) == 150
    assert list(stream(iter([]), timeout=60)) == []


@pytest.fixture
def own_runtime(iris_dir: Path, tmp_path: Path, start_program: Callable[..., Any]) -> RuntimeProcess:
    (tmp_path / "models").mkdir()
    for name in ("iris", "other"):
        (tmp_path / "models" / name).symlink_to(iris_dir)
    runtime: RuntimeProcess = start_program(
        "-c", PROGRAM, str(tmp_path / "models"), "--host=127.0.0.1", "--http_port=0", "--model_control_mode=explicit"
    )
    runtime.wait_ready()
    return runtime


@pytest.mark.parametrize("verb", ["Load", "Unload"])
def test_models_are_not_loaded_or_unloaded_unless_allowed(iris_client: Client, verb: str) -> None:
    message = getattr(PB, f"RepositoryModel{verb}Request")(model_name="iris")
    code, details = failure(lambda: iris_client.call(f"RepositoryModel{verb}", message))
    assert (code, "--model_control_mode=explicit" in details) == (grpc.StatusCode.PERMISSION_DENIED, True)
    assert iris_client.call("ModelReady", PB.ModelReadyRequest(name="iris")).ready


def test_models_are_unloaded_and_loaded(own_runtime: RuntimeProcess) -> None:
    client = Client(target_of(own_runtime))

    def states() -> dict[str, str]:
        return {each.name: each.state for each in client.call("RepositoryIndex", PB.RepositoryIndexRequest()).models}

    assert states() == {"iris": "READY", "other": "READY"}
    answer = client.call("RepositoryModelUnload", PB.RepositoryModelUnloadRequest(model_name="iris"))  # as Triton's
    assert (answer.model_name, answer.isUnloaded) == ("iris", True)
    assert states() == {"iris": "UNLOADED", "other": "READY"}
    ready = client.call("RepositoryIndex", PB.RepositoryIndexRequest(ready=True)).models
    assert [each.name for each in ready] == ["other"]
    assert not client.call("ModelReady", PB.ModelReadyRequest(name="iris")).ready
    assert client.call("ServerReady", PB.ServerReadyRequest()).ready
    code, details = failure(lambda: client.infer("iris", "FP64", ROW))
    assert (code, "not ready" in details) == (grpc.StatusCode.UNAVAILABLE, True)
    assert client.infer("other", "FP64", ROW).raw_output_contents
    client.call("RepositoryModelUnload", PB.RepositoryModelUnloadRequest(model_name="iris"))
    unknown = PB.RepositoryModelLoadRequest(model_name="rose")
    assert failure(lambda: client.call("RepositoryModelLoad", unknown))[0] is grpc.StatusCode.NOT_FOUND
    answer = client.call("RepositoryModelLoad", PB.RepositoryModelLoadRequest(repository_name="iris"))  # as KServe's
    assert (answer.model_name, answer.isLoaded) == ("iris", True)
    assert np.frombuffer(client.infer("iris", "FP64", ROW).raw_output_contents[0], np.int64).tolist() == [0]
    client.channel.close()


def test_models_come_from_the_servers_own_files(iris_dir: Path, start_runtime: Callable[..., RuntimeProcess]) -> None:
    runtime = start_runtime(
        "--model_name=iris", f"--model_dir={iris_dir}", "--allow_code", "--model_control_mode=explicit"
    )
    runtime.wait_ready()
    client = Client(target_of(runtime))
    for verb in ("Load", "Unload"):
        message = getattr(PB, f"RepositoryModel{verb}Request")(model_name="iris")
        message.parameters["unload_dependents"].bool_param = False
        message.parameters["config"].string_param = "{}"
        code, details = failure(lambda: client.call(f"RepositoryModel{verb}", message))  # noqa: B023  # called at once
        assert (code, "config is not supported" in details) == (grpc.StatusCode.INVALID_ARGUMENT, True)
    assert client.call("ModelReady", PB.ModelReadyRequest(name="iris")).ready
    client.channel.close()


SLOW = """
import pathlib, sys, time
import numpy as np
from haizen_runtime.engine.backend import Backend
from haizen_runtime.engine.model import Model
from haizen_runtime.engine.scheduling_settings import SchedulingSettings
from haizen_runtime.listening import bind
from haizen_runtime.main import configure_logging
from haizen_runtime.protocol.messages import ModelMetadata, TensorMetadata
from haizen_runtime.serving import serve
from haizen_runtime.settings import Settings

notes = pathlib.Path(sys.argv[1])

class Slow(Backend):
    metadata = ModelMetadata("slow", (TensorMetadata("x", "FP64", (-1, 1)),), (TensorMetadata("y", "FP64", (-1, 1)),))
    def execute(self, inputs, outputs):
        if inputs["x"][0, 0] < 0:
            (notes / "begun").touch()
            while not (notes / "go-on").exists():
                time.sleep(0.02)
        return {"y": inputs["x"]}
    def sample(self, rows):
        return None

settings, _ = Settings.parse(["--host=127.0.0.1", "--http_port=0"], {})
configure_logging(settings)
serve(settings, [Model("slow", "1", Slow, SchedulingSettings(max_batch_rows=1))], bind(settings.host, 0))
"""


def test_deadlines_and_cancellation_drop_the_work(tmp_path: Path, start_program: Callable[..., Any]) -> None:
    runtime = start_program("-c", SLOW, str(tmp_path))
    runtime.wait_ready()
    client = Client(target_of(runtime))

    def dropped(why: str) -> int:
        text = httpx.get(runtime.url + "/metrics", timeout=60).text
        lines = [line for line in text.splitlines() if "dropped" in line and f'"{why}"' in line]
        return int(float(lines[0].rpartition(" ")[2])) if lines else 0

    method = client.channel.unary_unary(
        SERVICE + "ModelInfer", PB.ModelInferRequest.SerializeToString, PB.ModelInferResponse.FromString
    )
    blocking = method.future(infer_request("slow", "FP64", np.array([[-1.0]])), timeout=250)
    wait_for((tmp_path / "begun").exists, runtime.describe)
    late_one = method.future(infer_request("slow", "FP64", np.array([[0.0]])), timeout=3)
    gone = method.future(infer_request("slow", "FP64", np.array([[0.0]])), timeout=250)
    assert late_one.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    gone.cancel()
    wait_for(lambda: dropped("deadline") + dropped("cancelled") >= 2, runtime.describe)
    (tmp_path / "go-on").touch()
    assert blocking.result().raw_output_contents
    assert client.infer("slow", "FP64", np.array([[0.25]])).raw_output_contents[0] == np.float64(0.25).tobytes()
    client.channel.close()
