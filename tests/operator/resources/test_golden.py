"""Golden files: each input in tests/operator/golden gives exactly the bytes beside it.

After an intended change, run with HAIZEN_UPDATE_GOLDEN=1 and read the difference before committing it.
"""

import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from haizen_operator.api import ClusterServingRuntime, InferenceService, ServingRuntime
from haizen_operator.config import OperatorConfig
from haizen_operator.resources import make_predictor_service, storage_access, template_hash
from haizen_operator.runtimes import load_builtin_runtimes
from haizen_operator.selection import select_runtime

GOLDEN = Path(__file__).parents[1] / "golden"
CASES = sorted(path.name.removesuffix(".input.yaml") for path in GOLDEN.glob("*.input.yaml"))
CONFIG = OperatorConfig(runtime_image="registry.example/haizen-runtime:1")


def documents(case: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((GOLDEN / f"{case}.input.yaml").read_text()))


def predictor_service(manifests: list[dict[str, Any]]) -> dict[str, Any]:
    """The Knative Service of the one InferenceService among the manifests, beside the built-in runtimes."""
    by_kind: dict[str, list[dict[str, Any]]] = {}
    for manifest in manifests:
        by_kind.setdefault(manifest["kind"], []).append(manifest)
    (isvc,) = map(InferenceService.from_manifest, by_kind["InferenceService"])
    cluster = [*by_kind.get("ClusterServingRuntime", []), *load_builtin_runtimes(CONFIG.runtime_image)]
    selection = None
    if isvc.spec.predictor.effective_model() is not None:
        selection = select_runtime(
            isvc,
            map(ServingRuntime.from_manifest, by_kind.get("ServingRuntime", [])),
            map(ClusterServingRuntime.from_manifest, cluster),
        )
    secrets = {secret["metadata"]["name"]: secret for secret in by_kind.get("Secret", [])}
    access = storage_access(isvc, next(iter(by_kind.get("ServiceAccount", [])), None), secrets, CONFIG.credentials)
    return make_predictor_service(isvc, selection, CONFIG, access)


def to_bytes(service: dict[str, Any]) -> bytes:
    return yaml.safe_dump(service, sort_keys=False, width=120).encode()


@pytest.mark.parametrize("case", CASES)
def test_golden(case: str) -> None:
    made = to_bytes(predictor_service(documents(case)))
    expected = GOLDEN / f"{case}.expected.yaml"
    if os.environ.get("HAIZEN_UPDATE_GOLDEN") == "1":
        expected.write_bytes(made)
    assert made.decode() == expected.read_text()


def test_there_are_cases() -> None:
    assert len(CASES) >= 5


def shuffled(value: Any, random: Any) -> Any:
    """The same data with the keys of every mapping in another order."""
    if isinstance(value, dict):
        items = list(value.items())
        random.shuffle(items)
        return {key: shuffled(item, random) for key, item in items}
    if isinstance(value, list):
        return [shuffled(item, random) for item in value]
    return value


@pytest.mark.parametrize("case", CASES)
@settings(max_examples=10, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(random=st.randoms(use_true_random=False))
def test_the_order_of_keys_has_no_say(case: str, random: Any) -> None:
    manifests = documents(case)
    assert to_bytes(predictor_service(shuffled(manifests, random))) == to_bytes(predictor_service(manifests))


@pytest.mark.parametrize("case", CASES)
def test_the_template_carries_its_own_hash(case: str) -> None:
    template = predictor_service(documents(case))["spec"]["template"]
    assert template["metadata"]["annotations"]["haizen.dev/template-hash"] == template_hash(template)


@pytest.mark.parametrize("case", CASES)
def test_no_secret_value_is_in_the_object(case: str) -> None:
    text = to_bytes(predictor_service(documents(case))).decode()
    assert "planted" not in text
    assert "cGxhbnRlZA" not in text


@pytest.mark.parametrize("case", CASES)
def test_volatile_metadata_makes_no_new_revision(case: str) -> None:
    manifests = documents(case)
    before = predictor_service(manifests)["spec"]["template"]
    for manifest in manifests:
        if manifest["kind"] == "InferenceService":
            manifest["metadata"].setdefault("annotations", {})["argocd.argoproj.io/tracking-id"] = "another"
            manifest["metadata"].setdefault("labels", {})["helm.sh/chart"] = "haizen-2"
            manifest["metadata"]["annotations"]["serving.kserve.io/enable-tag-routing"] = "true"
            manifest["spec"]["predictor"]["canaryTrafficPercent"] = 10
    assert predictor_service(manifests)["spec"]["template"] == before
