"""The models: how a manifest reads in Python."""

from typing import Any

import pytest
import yaml

from haizen_operator.api import InferenceService, PredictorSpec, ServingRuntime
from haizen_operator.api.quantity import is_quantity
from haizen_operator.api.rules.examples import SERVER, SKLEARN, model_service, runtime, service


def _predictor(**fields: Any) -> PredictorSpec:
    return InferenceService.from_manifest(service(fields)).spec.predictor


@pytest.mark.parametrize(
    ("predictor", "model_format", "protocol"),
    [
        ({"sklearn": {}}, "sklearn", None),
        ({"sklearn": {"protocolVersion": "v2"}}, "sklearn", "v2"),
        ({"triton": {}}, "triton", "v2"),
        ({"onnx": {}}, "onnx", "v2"),
        ({"onnx": {"protocolVersion": "v1"}}, "onnx", "v1"),
        ({"huggingface": {}}, "huggingface", "v2"),
        ({"paddle": {}}, "paddle", None),
        ({"model": {"modelFormat": {"name": "triton"}}}, "triton", "v2"),
        ({"model": {"modelFormat": {"name": "vLLM"}}}, "vLLM", "v2"),
        ({"model": {"modelFormat": {"name": "onnx"}}}, "onnx", None),
    ],
)
def test_the_effective_model_has_kserves_defaults(
    predictor: dict[str, Any], model_format: str, protocol: str | None
) -> None:
    model = _predictor(**predictor).effective_model()

    assert model is not None
    assert (model.model_format.name, model.protocol_version) == (model_format, protocol)


def test_a_framework_field_brings_its_storage_and_its_container_along() -> None:
    resources = {"limits": {"cpu": "1"}}
    model = _predictor(sklearn={"storageUri": "s3://a", "resources": resources, "args": ["-v"]}).effective_model()

    assert model is not None
    assert model.storage_uri == "s3://a"
    assert model.container() == {"resources": resources, "args": ["-v"]}


def test_a_custom_container_is_no_model() -> None:
    assert _predictor(containers=[SERVER]).effective_model() is None


def test_the_pod_spec_is_what_is_neither_ours_nor_a_container() -> None:
    predictor = _predictor(model=SKLEARN, minReplicas=0, nodeSelector={"a": "b"}, serviceAccountName="models")

    assert predictor.pod_spec() == {"nodeSelector": {"a": "b"}, "serviceAccountName": "models"}
    assert predictor.min_replicas == 0


def test_the_pod_spec_of_a_runtime_leaves_labels_to_the_template() -> None:
    spec = ServingRuntime.from_manifest(runtime(hostIPC=False, volumes=[{"name": "a"}], labels={"a": "b"})).spec

    assert spec.pod_spec() == {"hostIPC": False, "volumes": [{"name": "a"}]}
    assert (spec.labels, spec.containers) == ({"a": "b"}, [SERVER])


def test_what_is_missing_reads_as_empty() -> None:
    isvc = InferenceService.from_manifest(model_service())

    assert (isvc.metadata.labels, isvc.metadata.finalizers, isvc.status) == ({}, [], {})
    assert (isvc.spec.predictor.containers, isvc.spec.predictor.labels) == ([], {})


def test_a_timestamp_reads_the_same_from_yaml_and_from_the_api() -> None:
    text = "2026-05-01T10:00:00Z"
    manifest = model_service()
    manifest["metadata"]["creationTimestamp"] = yaml.safe_load(text)

    assert InferenceService.from_manifest(manifest).metadata.creation_timestamp == text


@pytest.mark.parametrize("value", [0, 2, "2", "-1", "+1", "500m", "1.5Gi", ".5", "5.", "1e3", "1E-3", "12Mi", "100k"])
def test_a_quantity(value: Any) -> None:
    assert is_quantity(value)


@pytest.mark.parametrize("value", ["", "4 Gi", "4GB", "1.2.3", "m", "1e", "0x10", "Gi4", "1Ki2", True, None, 0.5, []])
def test_no_quantity(value: Any) -> None:
    assert not is_quantity(value)
