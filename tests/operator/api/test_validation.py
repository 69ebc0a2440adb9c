"""The offline validator, where it goes beyond the API server."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haizen_operator.api.annotations import annotation_problems
from haizen_operator.api.rules.examples import SERVER, SKLEARN, canary_service, model_service, runtime, service
from haizen_operator.api.validation import Problem, pass_through_problems, unknown_fields, validate_manifest
from tests.support.serving_api import ServingApi, refusals


def _custom(**fields: Any) -> dict[str, Any]:
    return service({"containers": [{**SERVER, **fields}]})


@pytest.mark.parametrize(
    ("manifest", "problem"),
    [
        (model_service(minReplica=1), ("spec.predictor.minReplica", "unknown field; did you mean minReplicas?")),
        (
            _custom(readinessProbe={"httpGet": {"path": "/", "prot": 80}}),
            ("spec.predictor.containers[0].readinessProbe.httpGet.prot", "unknown field; did you mean port?"),
        ),
        (
            _custom(imagePull="Always"),
            ("spec.predictor.containers[0].imagePull", "unknown field; did you mean imagePullPolicy?"),
        ),
        (
            _custom(env=[{"name": "A", "valueFrom": {"secretRef": {"name": "a"}}}]),
            ("spec.predictor.containers[0].env[0].valueFrom.secretRef", "unknown field; did you mean secretKeyRef?"),
        ),
        (
            model_service(volumes=[{"name": "a", "emptydir": {}}]),
            ("spec.predictor.volumes[0].emptydir", "unknown field; did you mean emptyDir?"),
        ),
        (model_service(affinity={"zzz": {}}), ("spec.predictor.affinity.zzz", "unknown field")),
        (
            service({"model": {**SKLEARN, "resources": {"limit": {"cpu": 1}}}}),
            ("spec.predictor.model.resources.limit", "unknown field; did you mean limits?"),
        ),
        (runtime(tolerations=[{"keys": "a"}]), ("spec.tolerations[0].keys", "unknown field; did you mean key?")),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_an_unknown_field_is_named_at_any_depth(manifest: dict[str, Any], problem: tuple[str, str]) -> None:
    assert unknown_fields(manifest) == [Problem(*problem)]


@pytest.mark.parametrize(
    "manifest",
    [
        model_service(nodeSelector={"any.label/at-all": "x"}, labels={"free": "text"}),
        _custom(resources={"limits": {"example.com/any-device": 1}}),
        model_service(volumes=[{"name": "a", "csi": {"driver": "d", "volumeAttributes": {"any": "thing"}}}]),
        {**model_service(), "status": {"anything": {"goes": 1}}},
    ],
    ids=["labels", "resources", "volume attributes", "status"],
)
def test_free_names_are_not_unknown_fields(manifest: dict[str, Any]) -> None:
    assert unknown_fields(manifest) == []


@pytest.mark.parametrize(
    ("manifest", "problem"),
    [
        (
            _custom(ports=[{"containerPort": "8080"}]),
            ("spec.predictor.containers[0].ports[0].containerPort", 'must be an integer, not the string "8080"'),
        ),
        (
            _custom(readinessProbe={"httpGet": {"port": True}}),
            (
                "spec.predictor.containers[0].readinessProbe.httpGet.port",
                "must be an integer or a string, not true",
            ),
        ),
        (
            model_service(volumes=[{"name": "a", "emptyDir": {"sizeLimit": "lots"}}]),
            (
                "spec.predictor.volumes[0].emptyDir.sizeLimit",
                'must be a quantity such as 2, "500m" or "4Gi", not the string "lots"',
            ),
        ),
        (
            model_service(tolerations=[{"key": ["a"]}]),
            ("spec.predictor.tolerations[0].key", "must be a string, not a list"),
        ),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_a_wrong_type_in_a_passed_through_part_is_named(manifest: dict[str, Any], problem: tuple[str, str]) -> None:
    assert pass_through_problems(manifest) == [Problem(*problem)]


@pytest.mark.parametrize(
    ("manifest", "field", "message"),
    [
        (None, "", "a manifest must be an object with apiVersion, kind, metadata and spec"),
        ({"kind": "Pod"}, "kind", "must be one of InferenceService, ServingRuntime, ClusterServingRuntime, not 'Pod'"),
        (
            {**model_service(), "apiVersion": "v1"},
            "apiVersion",
            "must be serving.kserve.io/v1beta1, not 'v1'",
        ),
        ({**model_service(), "metadata": None}, "metadata", "must be an object with a name"),
        ({**model_service(), "spec": None}, "spec", "must be set"),
        (
            service({"model": SKLEARN, "minReplicas": "two"}),
            "spec.predictor.minReplicas",
            'must be an integer, not the string "two"',
        ),
        (
            model_service(scaleMetric="qps"),
            "spec.predictor.scaleMetric",
            'must be one of cpu, memory, concurrency, rps, not the string "qps"',
        ),
        (
            service({"model": {**SKLEARN, "resources": {"limits": {"memory": "4 GB"}}}}),
            "spec.predictor.model.resources.limits.memory",
            'must be a quantity such as 2, "500m" or "4Gi", not the string "4 GB"',
        ),
        (service({"model": {}}), "spec.predictor.model.modelFormat", "must be set"),
    ],
)
def test_a_mistake_is_said_with_its_field_and_what_would_be_right(manifest: Any, field: str, message: str) -> None:
    assert validate_manifest(manifest) == [Problem(field, message)]
    assert str(Problem(field, message)) == (f"{field}: {message}" if field else message)


@pytest.mark.parametrize(
    "manifest",
    [
        service({"sklearn": None, "model": SKLEARN}),
        service({"model": {**SKLEARN, "storage": None, "resources": None}}, transformer=None),
        _custom(env=None),
    ],
    ids=["framework", "transformer", "env"],
)
def test_null_counts_as_left_out_as_in_the_api_server(manifest: dict[str, Any], serving_api: ServingApi) -> None:
    assert refusals(serving_api.try_create(manifest, strict=True)) == []
    assert validate_manifest(manifest) == []


def _annotated(manifest: dict[str, Any], **annotations: str) -> dict[str, Any]:
    names = {"mode": "serving.kserve.io/deploymentMode", "autoscaler": "serving.kserve.io/autoscalerClass"}
    names["knative"] = "autoscaling.knative.dev/class"
    named = {names[name]: value for name, value in annotations.items()}
    return {**manifest, "metadata": {**manifest["metadata"], "annotations": named}}


_STRATEGY = model_service(deploymentStrategy={"type": "Recreate"})


@pytest.mark.parametrize(
    ("manifest", "fields"),
    [
        (_annotated(model_service(), mode="Serverless"), []),
        (_annotated(model_service(), mode="Knative"), []),
        (_annotated(model_service(), mode="serverless"), ["metadata.annotations[serving.kserve.io/deploymentMode]"]),
        (_annotated(model_service(), autoscaler="keda"), []),
        (_annotated(model_service(), autoscaler="kpa"), ["metadata.annotations[serving.kserve.io/autoscalerClass]"]),
        (_STRATEGY, ["spec.predictor.deploymentStrategy"]),
        (_annotated(_STRATEGY, mode="RawDeployment"), []),
        (model_service(scaleMetric="cpu"), ["spec.predictor.scaleMetric"]),
        (_annotated(model_service(scaleMetric="cpu"), knative="hpa.autoscaling.knative.dev"), []),
        (_annotated(model_service(scaleMetric="cpu"), mode="Standard"), []),
        (model_service(scaleMetric="rps", scaleTarget=0), ["spec.predictor.scaleTarget"]),
        (_annotated(canary_service({}), mode="Knative"), ["spec.canary"]),
        (canary_service({}), []),
        (runtime(), []),
    ],
)
def test_annotations_decide_about_fields(manifest: dict[str, Any], fields: list[str]) -> None:
    assert [problem.field for problem in annotation_problems(manifest)] == fields


@pytest.mark.parametrize(
    ("recorded", "asked", "refused"),
    [
        ("Knative", "Serverless", False),
        ("Serverless", "Knative", False),
        ("Knative", "RawDeployment", True),
        ("Standard", "Knative", True),
    ],
)
def test_the_deployment_mode_stays(recorded: str, asked: str, refused: bool) -> None:
    manifest = {**_annotated(model_service(), mode=asked), "status": {"deploymentMode": recorded}}

    assert bool(annotation_problems(manifest)) is refused


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda children: (
        st.lists(children, max_size=3)
        | st.dictionaries(
            st.sampled_from(["predictor", "model", "containers", "env", "name", "canary", "storageUris", "resources"]),
            children,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(spec=_JSON, metadata=_JSON, kind=st.sampled_from(["InferenceService", "ServingRuntime"]))
def test_no_manifest_breaks_the_validator(spec: Any, metadata: Any, kind: str) -> None:
    version = "v1beta1" if kind == "InferenceService" else "v1alpha1"
    manifest = {"apiVersion": f"serving.kserve.io/{version}", "kind": kind, "metadata": metadata, "spec": spec}

    for problem in validate_manifest(manifest):
        assert problem.message, json.dumps(manifest)
