"""Specs that cannot be served: one condition says why, nothing is applied, and putting it right heals."""

import time
from typing import Any

import pytest

from haizen_operator.kinds import CONFIG_MAP, INFERENCE_SERVICE, KNATIVE_SERVICE, SERVING_RUNTIME, Kind
from tests.operator.reconcile.cluster_world import World, inference_service, wait_for
from tests.operator.reconcile.operator_process import OperatorProcess

POLICY = Kind("admissionregistration.k8s.io", "v1", "ValidatingAdmissionPolicy", "validatingadmissionpolicies", False)
BINDING = Kind(
    "admissionregistration.k8s.io", "v1", "ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings", False
)


@pytest.mark.parametrize(
    ("name", "broken", "mended", "reason", "said"),
    [
        pytest.param(
            "transformer",
            {"spec": {"transformer": {"containers": [{"name": "t", "image": "t:1"}]}}},
            {"spec": {"transformer": None}},
            "NotSupportedYet",
            "spec.transformer",
            id="a transformer is not built yet",
        ),
        pytest.param(
            "mode",
            {"metadata": {"annotations": {"serving.kserve.io/deploymentMode": "RawDeployment"}}},
            {"metadata": {"annotations": {"serving.kserve.io/deploymentMode": "Serverless"}}},
            "NotSupportedYet",
            "Standard",
            id="Standard mode is not built yet",
        ),
        pytest.param(
            "runtime",
            {"spec": {"predictor": {"model": {"runtime": "no-such"}}}},
            {"spec": {"predictor": {"model": {"runtime": None}}}},
            "RuntimeNotRecognized",
            "no-such",
            id="a runtime that does not exist",
        ),
        pytest.param(
            "format",
            {"spec": {"predictor": {"model": {"modelFormat": {"name": "clay-tablet"}}}}},
            {"spec": {"predictor": {"model": {"modelFormat": {"name": "sklearn"}}}}},
            "NoSupportingRuntime",
            "clay-tablet",
            id="a format that nobody loads",
        ),
        pytest.param(
            "scheme",
            {"spec": {"predictor": {"model": {"storageUri": "carrier-pigeon://model"}}}},
            {"spec": {"predictor": {"model": {"storageUri": "https://example.com/m.joblib"}}}},
            "StorageUriNotSupported",
            "carrier-pigeon://model",
            id="a storage scheme that nobody downloads",
        ),
        pytest.param(
            "unknown",
            {"spec": {"predictor": {"affinity": {"nodeAffinnity": {}}}}},
            {"spec": {"predictor": {"affinity": None}}},
            "InvalidSpec",
            "nodeAffinnity",
            id="an unknown field in a part passed through to Kubernetes",
        ),
    ],
)
def test_problem_is_named_and_mending_heals(
    world: World,
    operator: OperatorProcess,
    namespace: str,
    name: str,
    broken: dict[str, Any],
    mended: dict[str, Any],
    reason: str,
    said: str,
) -> None:
    isvc = inference_service(name, namespace)
    _merge(isvc, broken)
    world.create(INFERENCE_SERVICE, isvc)
    condition = world.wait_reason(name, namespace, reason)
    assert condition["status"] == "False"
    assert said in condition["message"]
    assert world.service(name, namespace) is None
    world.merge(INFERENCE_SERVICE, name, namespace, mended)
    world.wait_ready(name, namespace)


def test_service_waits_for_its_runtime(world: World, operator: OperatorProcess, namespace: str) -> None:
    isvc = inference_service("waits", namespace)
    isvc["spec"]["predictor"]["model"]["runtime"] = "later"
    world.create(INFERENCE_SERVICE, isvc)
    world.wait_reason("waits", namespace, "RuntimeNotRecognized")
    runtime = {
        "apiVersion": SERVING_RUNTIME.api_version,
        "kind": SERVING_RUNTIME.kind,
        "metadata": {"name": "later", "namespace": namespace, "annotations": {"haizen.dev/downloads-model": "true"}},
        "spec": {
            "supportedModelFormats": [{"name": "sklearn"}],
            "containers": [{"name": "kserve-container", "image": "example.com/later:1"}],
        },
    }
    world.create(SERVING_RUNTIME, runtime)
    world.wait_ready("waits", namespace)


def test_missing_knative_flag_is_named_until_it_is_enabled(
    world: World, operator: OperatorProcess, namespace: str
) -> None:
    # An operator that carries something out leads, and knows the configuration that is about to change.
    world.create(INFERENCE_SERVICE, inference_service("modest", namespace))
    world.wait_ready("modest", namespace)
    features = {"metadata": {"name": "config-features", "namespace": "knative-serving"}, "data": {}}
    seen = operator.text().count("the configuration changed")
    world.create(CONFIG_MAP, features)
    wait_for(lambda: operator.text().count("the configuration changed") > seen, "the operator has read it")
    try:
        world.create(INFERENCE_SERVICE, inference_service("picky", namespace, nodeSelector={"disk": "fast"}))
        condition = world.wait_reason("picky", namespace, "KnativeFeatureMissing")
        assert "kubernetes.podspec-nodeselector" in condition["message"]
        assert world.service("picky", namespace) is None
        flags = {"data": {"kubernetes.podspec-nodeselector": "enabled"}}
        world.merge(CONFIG_MAP, "config-features", "knative-serving", flags)
        world.wait_ready("picky", namespace)
    finally:
        world.delete(CONFIG_MAP, "config-features", "knative-serving")


def test_refusal_is_quoted_and_not_repeated_in_a_hurry(world: World, operator: OperatorProcess, namespace: str) -> None:
    """The API server refuses the child by a policy; its own words reach the condition."""
    policy = {
        "metadata": {"name": "no-tabs"},
        "spec": {
            "matchConstraints": {
                "resourceRules": [
                    {
                        "apiGroups": ["serving.knative.dev"],
                        "apiVersions": ["v1"],
                        "operations": ["CREATE", "UPDATE"],
                        "resources": ["services"],
                    }
                ]
            },
            "validations": [
                {"expression": "object.metadata.name != 'refused-predictor'", "message": "not on my watch"}
            ],
        },
    }
    world.create(POLICY, policy)
    binding = {"metadata": {"name": "no-tabs"}, "spec": {"policyName": "no-tabs", "validationActions": ["Deny"]}}
    world.create(BINDING, binding)
    probe = {"metadata": {"name": "refused-predictor", "namespace": namespace}, "spec": {}}
    path = f"/apis/serving.knative.dev/v1/namespaces/{namespace}/services?dryRun=All"
    body = {"apiVersion": "serving.knative.dev/v1", "kind": "Service", **probe}
    wait_for(lambda: world.http.post(path, json=body).status_code in (403, 422), "the policy is in force")
    try:
        world.create(INFERENCE_SERVICE, inference_service("refused", namespace))
        assert "not on my watch" in world.wait_reason("refused", namespace, "ApplyRejected")["message"]
        begun = time.monotonic()
        before = operator.metric("haizen_operator_api_requests_total", 'verb="apply"', 'kind="Service"')
        time.sleep(3.0)
        tries = operator.metric("haizen_operator_api_requests_total", 'verb="apply"', 'kind="Service"') - before
        seconds = time.monotonic() - begun
        assert tries <= 1 + seconds, "the pause between tries grows to two seconds in this test, less half at most"
    finally:
        world.delete(BINDING, "no-tabs")
        world.delete(POLICY, "no-tabs")
    world.wait_ready("refused", namespace)


def test_service_that_does_not_go_is_waited_for(world: World, operator: OperatorProcess, namespace: str) -> None:
    """Somebody deletes the Knative Service while a finalizer of somebody else keeps it."""
    world.create(INFERENCE_SERVICE, inference_service("held", namespace))
    world.wait_ready("held", namespace)
    held = {"metadata": {"finalizers": ["example.com/backup"]}}
    first = world.merge(KNATIVE_SERVICE, "held-predictor", namespace, held)["metadata"]["uid"]
    world.delete(KNATIVE_SERVICE, "held-predictor", namespace)
    assert "example.com/backup" in world.wait_reason("held", namespace, "WaitingForDeletion")["message"]
    before = operator.metric("haizen_operator_api_writes_total", 'kind="Service"')
    time.sleep(1.0)
    assert operator.metric("haizen_operator_api_writes_total", 'kind="Service"') == before
    world.merge(KNATIVE_SERVICE, "held-predictor", namespace, {"metadata": {"finalizers": None}})
    world.wait_ready("held", namespace)
    assert world.wait_service("held", namespace)["metadata"]["uid"] != first


def test_field_without_effect_gives_one_warning(world: World, operator: OperatorProcess, namespace: str) -> None:
    isvc = inference_service("vain", namespace)
    isvc["metadata"]["annotations"] = {"serving.kserve.io/targetUtilizationPercentage": "80"}
    world.create(INFERENCE_SERVICE, isvc)
    world.wait_ready("vain", namespace)
    # Events follow the status that they are about; this one comes after all others of it.
    wait_for(lambda: ("Warning", "FieldWithoutEffect") in world.events(namespace), lambda: str(world.events(namespace)))
    events = world.events(namespace)
    assert events.count(("Warning", "FieldWithoutEffect")) == 1, events


def test_revision_that_fails_leaves_the_old_one_serving(
    world: World, operator: OperatorProcess, namespace: str
) -> None:
    container = {"name": "kserve-container", "image": "example.com/good:1"}
    isvc = inference_service("fails", namespace)
    isvc["spec"]["predictor"] = {"containers": [container]}
    world.create(INFERENCE_SERVICE, isvc)
    world.wait_ready("fails", namespace)
    broken = {"spec": {"predictor": {"containers": [{**container, "image": "example.com/broken:2"}]}}}
    world.merge(INFERENCE_SERVICE, "fails", namespace, broken)
    wait_for(lambda: world.condition("fails", namespace).get("status") == "False", "it is not Ready")
    message = world.condition("fails", namespace)["message"]
    assert "fails-predictor-00001 serves all traffic" in message
    world.merge(INFERENCE_SERVICE, "fails", namespace, {"spec": {"predictor": {"containers": [container]}}})
    world.wait_ready("fails", namespace)


def _merge(into: dict[str, Any], patch: dict[str, Any]) -> None:
    for key, value in patch.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = value
