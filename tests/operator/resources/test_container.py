"""Containers: names, order, defaults, and what is refused."""

from typing import Any

import pytest

from haizen_operator.api import ClusterServingRuntime, InferenceService
from haizen_operator.config import OperatorConfig, ResourceDefaults
from haizen_operator.resources import ResourceError, make_predictor_service
from haizen_operator.resources.container import with_default_resources
from haizen_operator.selection import select_runtime


def made(
    predictor: dict[str, Any],
    containers: list[dict[str, Any]] | None = None,
    *,
    config: OperatorConfig | None = None,
    annotations: dict[str, str] | None = None,
    **metadata: Any,
) -> dict[str, Any]:
    """The pod of a predictor; with ``containers``, on a runtime that has them."""
    isvc = InferenceService.from_manifest({"metadata": {"name": "iris", **metadata}, "spec": {"predictor": predictor}})
    selection = None
    if containers is not None:
        runtime = ClusterServingRuntime.from_manifest(
            {
                "metadata": {"name": "rt", "annotations": annotations or {}},
                "spec": {"supportedModelFormats": [{"name": "x", "autoSelect": True}], "containers": containers},
            }
        )
        selection = select_runtime(isvc, [], [runtime])
    service = make_predictor_service(isvc, selection, config or OperatorConfig())
    pod: dict[str, Any] = service["spec"]["template"]["spec"]
    return pod


MODEL = {"model": {"modelFormat": {"name": "x"}}}
SERVER = {"name": "kserve-container", "image": "s:1"}
OURS = {"haizen.dev/downloads-model": "true"}


@pytest.mark.parametrize(
    ("predictor", "names"),
    [
        pytest.param({"containers": [{"name": "mine", "image": "a"}]}, ["kserve-container"], id="one-is-renamed"),
        pytest.param({"containers": [{"image": "a"}]}, ["kserve-container"], id="one-without-a-name"),
        pytest.param(
            {"containers": [{"image": "a"}, {"name": "b"}]}, ["kserve-container", "b"], id="first-without-a-name"
        ),
        pytest.param(
            {"containers": [{"name": "b"}, {"name": "kserve-container"}]},
            ["b", "kserve-container"],
            id="named-names-stay",
        ),
    ],
)
def test_names_of_custom_containers(predictor: dict[str, Any], names: list[str]) -> None:
    assert [it["name"] for it in made(predictor)["containers"]] == names


@pytest.mark.parametrize(
    ("predictor", "message"),
    [
        pytest.param({"containers": [{"name": "a"}, {"name": "b"}]}, "must be called kserve-container", id="no-server"),
        pytest.param({}, "needs a model, a framework field", id="nothing-to-run"),
        pytest.param(
            {"containers": [{"resources": {"limits": {"cpu": "lots"}}}]}, "not a quantity: 'lots'", id="bad-quantity"
        ),
    ],
)
def test_refused_custom_containers(predictor: dict[str, Any], message: str) -> None:
    with pytest.raises(ResourceError, match=message) as caught:
        made(predictor)
    assert caught.value.reason == "InvalidPredictorSpec"


@pytest.mark.parametrize(
    ("containers", "message"),
    [
        pytest.param([{"name": "server"}], "failed to find kserve-container in ServingRuntime containers", id="name"),
        pytest.param(
            [{**SERVER, "args": ["{{.Foo}}"]}], "failed to replace placeholders in serving runtime rt", id="placeholder"
        ),
    ],
)
def test_refused_runtimes(containers: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(ResourceError, match=message):
        made(MODEL, containers)


def test_order_of_containers() -> None:
    runtime = [{"name": "side-of-runtime"}, {"name": "transformer-container", "args": ["{{.Name}}"]}, SERVER]
    predictor = {**MODEL, "containers": [{"name": "mine"}, {"name": "transformer-container", "args": ["b"]}]}
    pod = made(predictor, runtime)
    names = ["kserve-container", "transformer-container", "side-of-runtime", "mine"]
    assert [it["name"] for it in pod["containers"]] == names
    assert pod["containers"][1]["args"] == ["iris", "b"]


def test_every_container_knows_its_service() -> None:
    containers = [{**SERVER, "env": [{"name": "INFERENCE_SERVICE_NAME", "value": "wrong"}]}, {"name": "side"}]
    for container in made(MODEL, containers)["containers"]:
        assert container["env"] == [{"name": "INFERENCE_SERVICE_NAME", "value": "iris"}]


@pytest.mark.parametrize(
    ("container", "expected"),
    [
        pytest.param(SERVER, "h2c", id="none-said"),
        pytest.param({**SERVER, "ports": [{"containerPort": 9000, "name": "http1"}]}, "http1", id="the-runtimes-own"),
    ],
)
def test_port_of_our_server(container: dict[str, Any], expected: str) -> None:
    (server,) = made(MODEL, [container], annotations=OURS)["containers"]
    assert server["ports"][0]["name"] == expected


def test_our_server_fits_the_restricted_standard_and_has_a_real_probe() -> None:
    (server,) = made(MODEL, [SERVER], annotations=OURS)["containers"]
    assert server["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert server["readinessProbe"] == {"httpGet": {"path": "/v2/health/ready", "port": 8080}}


def test_what_the_user_says_about_security_stays() -> None:
    predictor = {"model": {**MODEL["model"], "securityContext": {"runAsUser": 0}}}
    (server,) = made(predictor, [SERVER], annotations=OURS)["containers"]
    assert server["securityContext"] == {"runAsUser": 0}


def test_a_foreign_server_is_left_alone() -> None:
    (server,) = made(MODEL, [SERVER])["containers"]
    assert set(server) == {"name", "image", "env"}


def test_placeholders_see_the_format_and_the_labels() -> None:
    containers = [{**SERVER, "args": ["--framework={{.Annotations.modelFormat}}", "--team={{.Labels.team}}"]}]
    (server,) = made(MODEL, containers, labels={"team": "a"})["containers"]
    assert server["args"] == ["--framework=x", "--team=a"]


@pytest.mark.parametrize(
    ("server_type", "predictor", "field", "expected"),
    [
        pytest.param("tritonserver", MODEL, "args", ["--model-control-mode=explicit"], id="triton-without-a-model"),
        pytest.param(
            "torchserve",
            {"model": {**MODEL["model"], "protocolVersion": "v2"}},
            "env",
            [{"name": "PROTOCOL_VERSION", "value": "v2"}, {"name": "INFERENCE_SERVICE_NAME", "value": "iris"}],
            id="torchserve",
        ),
        pytest.param(
            "mlserver",
            MODEL,
            "env",
            [
                {"name": "MLSERVER_LOAD_MODELS_AT_STARTUP", "value": "false"},
                {"name": "INFERENCE_SERVICE_NAME", "value": "iris"},
            ],
            id="mlserver-without-a-model",
        ),
    ],
)
def test_known_servers(server_type: str, predictor: dict[str, Any], field: str, expected: list[Any]) -> None:
    pod = made(predictor, [SERVER], annotations={"serving.kserve.io/server-type": server_type})
    assert pod["containers"][0][field] == expected


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        pytest.param({}, ("1", "2Gi", "1", "2Gi"), id="none"),
        pytest.param({"requests": {"cpu": "4"}}, ("4", "2Gi", "4", "2Gi"), id="request-above-the-default-limit"),
        pytest.param({"limits": {"cpu": "500m"}}, ("500m", "2Gi", "500m", "2Gi"), id="limit-below-the-default-request"),
        pytest.param({"limits": {"memory": "8Gi"}}, ("1", "2Gi", "1", "8Gi"), id="kserves-own-outcome"),
    ],
)
def test_default_resources(resources: dict[str, Any], expected: tuple[str, str, str, str]) -> None:
    found = with_default_resources(resources, ResourceDefaults())
    requests, limits = found["requests"], found["limits"]
    assert (requests["cpu"], requests["memory"], limits["cpu"], limits["memory"]) == expected


@pytest.mark.parametrize(
    ("predictor", "automount", "expected"),
    [
        pytest.param(MODEL, False, False, id="off-by-default"),
        pytest.param(MODEL, True, None, id="on-is-knatives-default"),
        pytest.param({**MODEL, "automountServiceAccountToken": True}, False, None, id="the-user-wants-it"),
        pytest.param({**MODEL, "automountServiceAccountToken": False}, True, False, id="the-user-does-not"),
    ],
)
def test_service_account_token(predictor: dict[str, Any], automount: bool, expected: bool | None) -> None:
    config = OperatorConfig(automount_service_account_token=automount)
    assert made(predictor, [SERVER], config=config).get("automountServiceAccountToken") is expected


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        pytest.param({"nvidia.com/gpu": 1}, {"cloud.google.com/gke-accelerator": "l4"}, id="gpu"),
        pytest.param({"cpu": 1}, None, id="no-gpu"),
    ],
)
def test_accelerator(limits: dict[str, Any], expected: dict[str, str] | None) -> None:
    predictor = {"model": {**MODEL["model"], "resources": {"limits": limits}}}
    pod = made(predictor, [SERVER], annotations=None)
    assert "nodeSelector" not in pod
    isvc = {"name": "iris", "annotations": {"serving.kserve.io/gke-accelerator": "l4"}}
    service = make_predictor_service(
        InferenceService.from_manifest(
            {"metadata": isvc, "spec": {"predictor": {"containers": [{"resources": {"limits": limits}}]}}}
        ),
        None,
        OperatorConfig(),
    )
    assert service["spec"]["template"]["spec"].get("nodeSelector") == expected
