"""Nothing is ignored in silence: one row for each thing that is not built or has no effect."""

from typing import Any

import pytest

from haizen_operator.api import InferenceService
from haizen_operator.resources.support import not_supported_yet, without_effect


def service(
    predictor: dict[str, Any] | None = None,
    annotations: dict[str, str] | None = None,
    status: dict[str, str] | None = None,
    **spec: Any,
) -> InferenceService:
    predictor = {"sklearn": {"storageUri": "s3://b/m"}} | (predictor or {})
    metadata = {"name": "iris", "annotations": annotations or {}}
    return InferenceService.from_manifest(
        {"metadata": metadata, "spec": {"predictor": predictor, **spec}, "status": status or {}}
    )


MODE = "metadata.annotations[serving.kserve.io/deploymentMode]"
HPA = {"autoscaling.knative.dev/class": "hpa.autoscaling.knative.dev"}
METRIC = "autoscaling.knative.dev/metric"
CANARY = [{"predictor": {"name": "c", "sklearn": {}}, "trafficPercent": 10}]
CONFIDENTIAL = {"model": {"modelFormat": {"name": "x"}, "confidential": {"enabled": True}}, "sklearn": None}
MULTI_MODEL = {"sklearn": None, "containers": [{"env": [{"name": "MULTI_MODEL_SERVER", "value": "true"}]}]}


@pytest.mark.parametrize(
    ("isvc", "fields"),
    [
        pytest.param(service(), [], id="nothing"),
        pytest.param(service(transformer={"containers": [{}]}), ["spec.transformer"], id="transformer"),
        pytest.param(service(explainer={"containers": [{}]}), ["spec.explainer"], id="explainer"),
        pytest.param(service(canary=CANARY), ["spec.canary"], id="canary"),
        pytest.param(service({"logger": {}}), ["spec.predictor.logger"], id="logger"),
        pytest.param(service({"batcher": {}}), ["spec.predictor.batcher"], id="batcher"),
        pytest.param(service({"workerSpec": {}}), ["spec.predictor.workerSpec"], id="multi-node"),
        pytest.param(
            service({"storageContainerName": "c"}), ["spec.predictor.storageContainerName"], id="storage-container"
        ),
        pytest.param(service({"scaleMetric": "cpu"}), ["spec.predictor.scaleMetric"], id="scale-by-cpu"),
        pytest.param(service({"scaleMetric": "memory"}), ["spec.predictor.scaleMetric"], id="scale-by-memory"),
        pytest.param(service({"scaleMetric": "cpu"}, HPA), [], id="scale-by-cpu-with-hpa"),
        pytest.param(service({"scaleMetric": "rps"}, {METRIC: "cpu"}), [], id="the-field-wins"),
        pytest.param(
            service(annotations={METRIC: "cpu"}), [f"metadata.annotations[{METRIC}]"], id="scale-by-cpu-by-annotation"
        ),
        pytest.param(service(CONFIDENTIAL), ["spec.predictor.model.confidential"], id="confidential"),
        pytest.param(service(MULTI_MODEL), ["spec.predictor.containers"], id="multi-model"),
        pytest.param(service(annotations={"serving.kserve.io/deploymentMode": "RawDeployment"}), [MODE], id="raw"),
        pytest.param(service(annotations={"serving.kserve.io/deploymentMode": "ModelMesh"}), [MODE], id="modelmesh"),
        pytest.param(service(annotations={"serving.kserve.io/deploymentMode": "Serverless"}), [], id="serverless"),
        pytest.param(service(status={"deploymentMode": "Standard"}), [MODE], id="mode-of-the-status"),
    ],
)
def test_not_supported_yet(isvc: InferenceService, fields: list[str]) -> None:
    found = not_supported_yet(isvc)
    assert [finding.field for finding in found] == fields
    assert all("not supported yet" in finding.message for finding in found)


def test_the_clusters_default_mode_counts() -> None:
    assert [it.field for it in not_supported_yet(service(), "Standard")] == [MODE]


@pytest.mark.parametrize(
    ("isvc", "field"),
    [
        pytest.param(service({"scaleMetricType": "Utilization"}), "spec.predictor.scaleMetricType", id="metric-type"),
        pytest.param(
            service({"deploymentStrategy": {"type": "Recreate"}}), "spec.predictor.deploymentStrategy", id="strategy"
        ),
        pytest.param(service({"autoScaling": {"metrics": []}}), "spec.predictor.autoScaling", id="autoscaling"),
        pytest.param(service({"minReplicas": 0}, HPA), "spec.predictor.minReplicas", id="hpa-never-scales-to-zero"),
        pytest.param(service({"name": "main"}), "spec.predictor.name", id="predictor-name"),
        pytest.param(service({"batcher": {"timeout": 5}}), "spec.predictor.batcher.timeout", id="batcher-timeout"),
        pytest.param(
            service({"sklearn": {"storage": {"schemaPath": "s"}}}),
            "spec.predictor.model.storage.schemaPath",
            id="schema-path",
        ),
        *(
            pytest.param(service(annotations={name: "x"}), f"metadata.annotations[{name}]", id=name)
            for name in (
                "serving.kserve.io/metrics",
                "serving.kserve.io/metric",
                "serving.kserve.io/targetUtilizationPercentage",
                "serving.kserve.io/autoscalerClass",
                "serving.kserve.io/enable-metric-aggregation",
                "serving.kserve.io/disable-auto-update",
            )
        ),
    ],
)
def test_without_effect(isvc: InferenceService, field: str) -> None:
    (finding,) = without_effect(isvc)
    assert finding.field == field
    assert finding.message


def test_everything_in_an_ordinary_service_has_an_effect() -> None:
    predictor = {"minReplicas": 0, "maxReplicas": 2, "scaleTarget": 5, "scaleMetric": "rps", "timeout": 60}
    assert without_effect(service(predictor, {"serving.kserve.io/enable-tag-routing": "true"})) == []
