"""KServe-style manifests are accepted, and nothing in them is lost."""

import pytest

from haizen_operator.api import ClusterServingRuntime, InferenceService, ServingRuntime
from haizen_operator.api.kubernetes_types import fields_of
from haizen_operator.api.validation import validate_manifest
from tests.operator.api.manifests import CONTAINER, CORPUS, POD_SPEC
from tests.support.serving_api import ServingApi, refusals

MODELS = {"InferenceService": InferenceService, "ServingRuntime": ServingRuntime} | {
    "ClusterServingRuntime": ClusterServingRuntime
}
each_manifest = pytest.mark.parametrize("name", CORPUS)


@each_manifest
def test_the_api_server_keeps_every_field(name: str, serving_api: ServingApi) -> None:
    response = serving_api.try_create(CORPUS[name], strict=True)

    assert refusals(response) == []
    assert response.json()["spec"] == CORPUS[name]["spec"]


@each_manifest
def test_the_offline_validator_has_nothing_to_say(name: str) -> None:
    assert validate_manifest(CORPUS[name]) == []


@each_manifest
def test_the_models_keep_every_field(name: str) -> None:
    manifest = CORPUS[name]

    assert MODELS[manifest["kind"]].from_manifest(manifest).to_manifest() == manifest


def test_the_corpus_holds_every_field_of_a_pod_spec_and_of_a_container() -> None:
    # ephemeralContainers belong to running pods; hostnameOverride and restartPolicyRules are in alpha.
    assert fields_of("PodSpec").keys() - POD_SPEC.keys() == {"containers", "ephemeralContainers", "hostnameOverride"}
    assert fields_of("Container").keys() - CONTAINER.keys() == {"restartPolicyRules"}
