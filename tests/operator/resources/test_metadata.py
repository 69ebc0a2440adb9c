"""Which labels and annotations make a new revision, and which do not."""

import pytest

from haizen_operator.api import InferenceService, ServingRuntime
from haizen_operator.config import OperatorConfig
from haizen_operator.resources.metadata import ServiceMetadata, predictor_metadata


def metadata(
    *,
    labels: dict[str, str] | None = None,
    annotations: dict[str, str] | None = None,
    component_labels: dict[str, str] | None = None,
    component_annotations: dict[str, str] | None = None,
    runtime: ServingRuntime | None = None,
    config: OperatorConfig | None = None,
) -> ServiceMetadata:
    predictor = {"labels": component_labels or {}, "annotations": component_annotations or {}}
    isvc = InferenceService.from_manifest(
        {
            "metadata": {"name": "iris", "labels": labels or {}, "annotations": annotations or {}},
            "spec": {"predictor": predictor},
        }
    )
    return predictor_metadata(isvc, runtime, config or OperatorConfig(), {})


@pytest.mark.parametrize(
    ("key", "template", "service"),
    [
        pytest.param("team", True, False, id="the-users-own"),
        pytest.param("sidecar.istio.io/inject", True, False, id="injection"),
        pytest.param("prometheus.io/scrape", True, False, id="scraping"),
        pytest.param("autoscaling.knative.dev/window", True, False, id="autoscaling"),
        pytest.param("kubectl.kubernetes.io/last-applied-configuration", False, False, id="kubectl"),
        pytest.param("argocd.argoproj.io/tracking-id", False, False, id="argo-cd"),
        pytest.param("kustomize.toolkit.fluxcd.io/name", False, False, id="flux"),
        pytest.param("meta.helm.sh/release-name", False, False, id="helm"),
        pytest.param("serving.kserve.io/deploymentMode", False, False, id="read-by-the-operator"),
        pytest.param("serving.kserve.io/enable-tag-routing", False, False, id="traffic-only"),
        pytest.param("modelFormat", False, False, id="model-format"),
        pytest.param("haizen.dev/anything", False, False, id="ours"),
        pytest.param("serving.knative.dev/rollout-duration", False, True, id="rollout-duration"),
        pytest.param("serving.knative.openshift.io/enablePassthrough", False, True, id="passthrough"),
        pytest.param("networking.knative.dev/disable-external-domain-tls", False, True, id="knative-networking"),
        pytest.param("serving.knative.dev/creator", False, False, id="knatives-own"),
    ],
)
def test_annotations(key: str, template: bool, service: bool) -> None:
    found = metadata(annotations={key: "x"})
    assert (found.template_annotations.get(key) == "x") is template
    assert (found.annotations.get(key) == "x") is service


@pytest.mark.parametrize(
    ("key", "template"),
    [
        pytest.param("team", True, id="the-users-own"),
        pytest.param("app.kubernetes.io/name", True, id="recommended"),
        pytest.param("helm.sh/chart", False, id="helm-chart-version"),
        pytest.param("app.kubernetes.io/managed-by", False, id="managed-by"),
    ],
)
def test_labels(key: str, template: bool) -> None:
    found = metadata(labels={key: "x"})
    assert (found.template_labels.get(key) == "x") is template
    assert (found.labels.get(key) == "x") is template


def test_component_before_service_before_runtime() -> None:
    runtime = ServingRuntime.from_manifest(
        {"spec": {"containers": [], "labels": {"a": "runtime", "b": "runtime", "c": "runtime"}}}
    )
    found = metadata(labels={"b": "service", "c": "service"}, component_labels={"c": "component"}, runtime=runtime)
    assert {key: found.template_labels[key] for key in "abc"} == {"a": "runtime", "b": "service", "c": "component"}


def test_our_labels_cannot_be_overridden() -> None:
    found = metadata(component_labels={"component": "x", "serving.kserve.io/inferenceservice": "x"})
    assert found.template_labels == {"component": "predictor", "serving.kserve.io/inferenceservice": "iris"}


@pytest.mark.parametrize("key", ["networking.knative.dev/visibility", "networking.kserve.io/visibility"])
def test_cluster_local(key: str) -> None:
    found = metadata(labels={key: "cluster-local"})
    assert found.labels["networking.knative.dev/visibility"] == "cluster-local"
    assert key not in found.template_labels


def test_lists_of_the_administrator() -> None:
    config = OperatorConfig(annotation_disallowed=frozenset({"a"}), label_disallowed=frozenset({"b"}))
    found = metadata(annotations={"a": "x"}, labels={"b": "x"}, component_annotations={"a": "y"}, config=config)
    assert "a" not in found.template_annotations
    assert "b" not in found.template_labels


@pytest.mark.parametrize(
    ("annotations", "port"),
    [
        pytest.param({"serving.kserve.io/enable-prometheus-scraping": "true"}, "9091", id="queue-proxy"),
        pytest.param({"serving.kserve.io/enable-prometheus-scraping": "false"}, None, id="off"),
        pytest.param(
            {"serving.kserve.io/enable-prometheus-scraping": "true", "prometheus.io/port": "8080"},
            "8080",
            id="the-users-own-port",
        ),
    ],
)
def test_scraping(annotations: dict[str, str], port: str | None) -> None:
    assert metadata(annotations=annotations).template_annotations.get("prometheus.io/port") == port
