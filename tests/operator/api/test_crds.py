"""The generated CRDs: what they show, what they refuse, and that they are up to date."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from haizen_operator.api import generate
from haizen_operator.api.rules.examples import SERVER, SKLEARN, canary, canary_service, model_service, runtime, service
from haizen_operator.api.validation import admission_problems
from tests.support.serving_api import CRDS, ServingApi, refusals

FILES = sorted(CRDS.glob("serving.kserve.io_*.yaml"))
each_file = pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)


def test_every_kind_has_its_file() -> None:
    assert [file.name for file in FILES] == [
        "serving.kserve.io_clusterservingruntimes.yaml",
        "serving.kserve.io_inferenceservices.yaml",
        "serving.kserve.io_servingruntimes.yaml",
    ]


def test_the_files_are_up_to_date() -> None:
    assert generate.main(["--check"]) == 0


def test_a_stale_and_a_missing_file_are_noticed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    generate.main([str(tmp_path)])
    (tmp_path / FILES[0].name).write_text("stale")
    (tmp_path / FILES[1].name).unlink()

    assert generate.main(["--check", str(tmp_path)]) == 1
    assert f"stale: {tmp_path / FILES[1].name}, {tmp_path / FILES[0].name};" in capsys.readouterr().err
    assert (tmp_path / FILES[0].name).read_text() == "stale"


@each_file
def test_a_file_is_small_enough_for_client_side_apply(file: Path) -> None:
    assert file.stat().st_size < 200 * 1024


@each_file
def test_no_schema_has_a_default(file: Path) -> None:
    assert [path for path, node in _nodes(yaml.safe_load(file.read_text())) if "default" in node] == []


@each_file
def test_every_field_of_ours_has_a_description(file: Path) -> None:
    version = yaml.safe_load(file.read_text())["spec"]["versions"][0]
    spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    # Fields of core/v1 carry none: they pass through, and Kubernetes describes them.
    own = {"predictor", "model", "minReplicas", "storageUri", "modelFormat", "supportedModelFormats"}
    silent = [
        path
        for path, node in _nodes(spec)
        if path.split(".")[-1] in own and ".canary." not in path and "type" in node and "description" not in node
    ]

    assert silent == []


@pytest.mark.parametrize(
    ("kind", "columns"),
    [
        (
            "InferenceService",
            ["Name", "URL", "Ready", "Prev", "Latest", "PrevRolledoutRevision", "LatestReadyRevision", "Age"],
        ),
        ("ServingRuntime", ["Name", "Disabled", "ModelType", "Containers", "Age"]),
        ("ClusterServingRuntime", ["Name", "Disabled", "ModelType", "Containers", "Age"]),
    ],
)
def test_kubectl_shows_the_columns_of_kserve(kind: str, columns: list[str], serving_api: ServingApi) -> None:
    assert [name for name, _ in _table(serving_api, kind)] == columns


def test_the_columns_hold_what_the_status_says(serving_api: ServingApi) -> None:
    manifest = model_service()
    stored = serving_api.store(manifest)
    traffic = [
        {"latestRevision": True, "percent": 10, "revisionName": "digits-predictor-00002"},
        {"latestRevision": False, "percent": 90, "revisionName": "digits-predictor-00001", "tag": "prev"},
    ]
    status = {
        "url": "http://digits.example.com",
        "conditions": [{"type": "PredictorReady", "status": "False"}, {"type": "Ready", "status": "True"}],
        "components": {"predictor": {"traffic": traffic, "notInOurSchema": {"kept": True}}},
    }
    path = serving_api.path("InferenceService", "digits") + "/status"
    try:
        answer = serving_api.client.put(path, json={**stored, "status": status})
        row = dict(_table(serving_api, "InferenceService"))
    finally:
        serving_api.delete(manifest)

    assert answer.json()["status"] == status
    assert {name: value for name, value in row.items() if name not in ("Name", "Age")} == {
        "URL": "http://digits.example.com",
        "Ready": "True",
        "Prev": 90,
        "Latest": 10,
        "PrevRolledoutRevision": "digits-predictor-00001",
        "LatestReadyRevision": "digits-predictor-00002",
    }


def test_the_short_name_is_kserves(serving_api: ServingApi) -> None:
    resources = serving_api.client.get("/apis/serving.kserve.io/v1beta1").json()["resources"]

    assert {entry["name"]: entry.get("shortNames") for entry in resources} == {
        "inferenceservices": ["isvc"],
        "inferenceservices/status": None,
    }


def _with(field: str, value: Any) -> dict[str, Any]:
    return model_service(**{field: value})


@pytest.mark.parametrize(
    ("manifest", "field"),
    [
        (_with("minReplica", 1), "spec.predictor.minReplica"),
        (service({"model": {**SKLEARN, "storageURI": "s3://a"}}), "spec.predictor.model.storageURI"),
        (service({"sklearn": {"storageUrl": "s3://a"}}), "spec.predictor.sklearn.storageUrl"),
        (service({"model": SKLEARN}, transformers={}), "spec.transformers"),
        (_with("logger", {"mode": "all", "uri": "x"}), "spec.predictor.logger.uri"),
        (canary_service(canary("next", 1, minReplica=1)), "spec.canary[0].predictor.minReplica"),
        (runtime(supportedModelFormat=[]), "spec.supportedModelFormat"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_strict_validation_refuses_an_unknown_field(
    manifest: dict[str, Any], field: str, serving_api: ServingApi
) -> None:
    response = serving_api.try_create(manifest, strict=True)

    assert response.status_code == 400
    assert f'unknown field "{field}"' in response.json()["message"]
    assert refusals(serving_api.try_create(manifest)) == []


@pytest.mark.parametrize(
    ("manifest", "field"),
    [
        (_with("minReplicas", "two"), "spec.predictor.minReplicas"),
        (_with("timeout", 1.5), "spec.predictor.timeout"),
        (_with("labels", {"a": 1}), "spec.predictor.labels.a"),
        (_with("scaleMetric", "qps"), "spec.predictor.scaleMetric"),
        (_with("nodeSelector", ["gpu"]), "spec.predictor.nodeSelector"),
        (_with("tolerations", {"key": "a"}), "spec.predictor.tolerations"),
        (service({"model": "s3://models/digits"}), "spec.predictor.model"),
        (service({"model": {"storageUri": "s3://a"}}), "spec.predictor.model.modelFormat"),
        (service({"model": {**SKLEARN, "args": "--verbose"}}), "spec.predictor.model.args"),
        (service({"sklearn": {"env": [{"name": "A", "value": 1}]}}), "spec.predictor.sklearn.env[0].value"),
        (service({"containers": [{**SERVER, "image": 1}]}), "spec.predictor.containers[0].image"),
        (service({"sklearn": {}, "storageUris": []}), "spec.predictor.storageUris"),
        (service({"model": {"modelFormat": {"name": None}}}), "spec.predictor.model.modelFormat.name"),
        (
            service({"model": {**SKLEARN, "resources": {"limits": {"memory": "4 GB"}}}}),
            "spec.predictor.model.resources.limits.memory",
        ),
        (
            service({"containers": [{**SERVER, "resources": {"requests": {"cpu": 0.5}}}]}),
            "spec.predictor.containers[0].resources.requests.cpu",
        ),
        (canary_service(canary("next", 101)), "spec.canary[0].trafficPercent"),
        (runtime(supportedModelFormats=[{"name": "a", "priority": 0}]), "spec.supportedModelFormats[0].priority"),
        (runtime(disabled="no"), "spec.disabled"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_both_refuse_a_wrong_value_and_name_the_field(
    manifest: dict[str, Any], field: str, serving_api: ServingApi
) -> None:
    online = [refusal.field for refusal in refusals(serving_api.try_create(manifest))]

    assert field in online
    assert [problem.field for problem in admission_problems(manifest)] == [field]


def _nodes(schema: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(schema, dict):
        yield path, schema
        for name, value in schema.items():
            yield from _nodes(value, f"{path}.{name}")
    elif isinstance(schema, list):
        for value in schema:
            yield from _nodes(value, path)


def _table(api: ServingApi, kind: str) -> list[tuple[str, Any]]:
    """(column, cell of the first row) as kubectl gets them, wide columns aside."""
    accept = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
    table = api.client.get(api.path(kind), headers=accept).json()
    cells = table["rows"][0]["cells"] if table.get("rows") else [None] * len(table["columnDefinitions"])
    return [
        (column["name"], cell)
        for column, cell in zip(table["columnDefinitions"], cells, strict=True)
        if column.get("priority", 0) == 0
    ]
