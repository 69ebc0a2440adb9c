"""The seam between operator and runtime: what the operator writes into a pod, the runtime understands."""

from pathlib import Path
from typing import Any

import pytest

from haizen_operator.api import ClusterServingRuntime, InferenceService
from haizen_operator.config import OperatorConfig
from haizen_operator.resources import make_predictor_service
from haizen_operator.runtimes import load_builtin_runtimes
from haizen_operator.selection import select_runtime
from haizen_runtime.backends.formats import FORMATS
from haizen_runtime.protocol.errors import InvalidConfiguration
from haizen_runtime.settings import Settings
from haizen_runtime.storage.download import run_download

RUNTIMES = [ClusterServingRuntime.from_manifest(it) for it in load_builtin_runtimes("registry.example/haizen:1")]


def pod(framework: str, **model: Any) -> dict[str, Any]:
    predictor = {framework: {"storageUri": "s3://models/m", **model}}
    isvc = InferenceService.from_manifest({"metadata": {"name": "iris"}, "spec": {"predictor": predictor}})
    service = make_predictor_service(isvc, select_runtime(isvc, [], RUNTIMES), OperatorConfig())
    template: dict[str, Any] = service["spec"]["template"]["spec"]
    return template


def parse(container: dict[str, Any]) -> tuple[Settings, list[str]]:
    return Settings.parse(container["args"], {it["name"]: it["value"] for it in container["env"]})


@pytest.mark.parametrize("runtime", RUNTIMES, ids=lambda runtime: runtime.metadata.name)
def test_every_built_in_runtime_starts_a_format_that_exists(runtime: ClusterServingRuntime) -> None:
    (container,) = runtime.spec.containers
    settings, warnings = Settings.parse(container["args"], {})
    assert warnings == []
    kind = FORMATS[str(settings.model_format)]
    assert runtime.metadata.name == f"haizen-{kind.name}"
    assert settings.allow_code is kind.carries_code
    assert {each.name for each in runtime.spec.supported_model_formats} == {kind.name}


@pytest.mark.parametrize("framework", ["sklearn", "xgboost", "lightgbm", "onnx"])
def test_arguments_and_environment_parse_as_settings(framework: str) -> None:
    (server,) = pod(framework)["containers"]
    settings, warnings = parse(server)
    assert warnings == []
    assert settings.model_name == "iris"
    assert settings.model_format == framework
    assert settings.storage_uri == "s3://models/m"
    assert settings.allow_code is (framework == "sklearn")


def test_the_port_is_the_one_the_server_listens_on() -> None:
    (server,) = pod("sklearn")["containers"]
    settings, _ = parse(server)
    assert [port["containerPort"] for port in server["ports"]] == [settings.http_port]
    assert server["readinessProbe"]["httpGet"]["port"] == settings.http_port


def test_the_model_directory_is_a_volume() -> None:
    (server,) = pod("sklearn")["containers"]
    settings, _ = parse(server)
    assert settings.model_dir in {mount["mountPath"] for mount in server["volumeMounts"]}


def test_arguments_of_the_user_win() -> None:
    (server,) = pod("sklearn", args=["--model_name=flowers", "--max-batch-rows=1"])["containers"]
    settings, _ = parse(server)
    assert (settings.model_name, settings.max_batch_rows) == ("flowers", 1)


def test_an_argument_nobody_knows_is_a_clear_error() -> None:
    (server,) = pod("sklearn", args=["--modle_name=x"])["containers"]
    with pytest.raises(InvalidConfiguration, match="did you mean --model_name"):
        parse(server)


def test_the_init_container_of_a_foreign_server_downloads(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "weights.bin").write_bytes(b"weights")
    runtime = ClusterServingRuntime.from_manifest(
        {
            "metadata": {"name": "foreign"},
            "spec": {
                "supportedModelFormats": [{"name": "x", "autoSelect": True}],
                "containers": [{"name": "kserve-container", "image": "server:1"}],
            },
        }
    )
    uris = [{"uri": f"file://{tmp_path}/store", "mountPath": f"{tmp_path}/models/{name}"} for name in ("a", "b")]
    predictor = {"model": {"modelFormat": {"name": "x"}}, "storageUris": uris}
    isvc = InferenceService.from_manifest({"metadata": {"name": "iris"}, "spec": {"predictor": predictor}})
    service = make_predictor_service(isvc, select_runtime(isvc, [], [runtime]), OperatorConfig())
    (init,) = service["spec"]["template"]["spec"]["initContainers"]
    command, *arguments = init["args"]
    assert (init["command"], command) == (["haizen-runtime"], "download")
    environment = {"HAIZEN_TERMINATION_LOG": str(tmp_path / "termination-log")}
    assert run_download(arguments, environment) == 0
    for name in ("a", "b"):
        assert (tmp_path / "models" / name / "weights.bin").read_bytes() == b"weights"
