"""Which labels and annotations of an InferenceService reach the revision template, and which stay outside.

KServe copies nearly all of them into the template, so that any edit of the InferenceService's metadata (an Argo CD
tracking id, a Helm chart's version) makes a new revision and restarts pods. Here, what tools rewrite on their own and
what only an operator reads stays out:

Nowhere:
    ``kubectl.kubernetes.io/*``, ``kubernetes.io/change-cause``, ``deployment.kubernetes.io/*``
        kubectl's notes; they change with every apply.
    ``argocd.argoproj.io/*``, ``*.toolkit.fluxcd.io/*``, ``meta.helm.sh/*``, ``helm.sh/*``, ``kapp.k14s.io/*``,
    ``pulumi.com/*``
        Delivery tools' notes; they change without any change of the service.
    ``app.kubernetes.io/managed-by``
        The pods are managed by the operator.
    ``serving.kserve.io/*``, ``storage.kserve.io/*``, ``internal.serving.kserve.io/*``, ``networking.kserve.io/*``,
    ``haizen.dev/*``
        Read by the operator; what they mean is in the template by itself.
    ``modelFormat``
        On KServe's own list; placeholders can use it all the same.
    ``autoscaling.knative.dev/min-scale``, ``autoscaling.knative.dev/max-scale``
        They come from minReplicas and maxReplicas.
    What serviceAnnotationDisallowedList and serviceLabelDisallowedList name
        The cluster's administrator said so.
The Knative Service:
    ``serving.knative.dev/*`` (rollout-duration), ``serving.knative.openshift.io/enablePassthrough``,
    ``networking.knative.dev/*`` (visibility)
        Knative reads them there, and refuses some of them in a template.
The revision template:
    ``autoscaling.knative.dev/*`` but the two above
        Knative's autoscaler reads them there.
    Everything else, and ``predictor.labels`` and ``predictor.annotations`` by the same table
        Pods are selected, scraped and injected by them.

Labels go to the Knative Service as well. Of one name, the component's wins over the InferenceService's, and that over
the runtime's (KServe's rule).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from haizen_operator.api import InferenceService, ServingRuntime
from haizen_operator.config import OperatorConfig
from haizen_operator.names import (
    ANNOTATION_ENABLE_PASSTHROUGH,
    ANNOTATION_METRIC_AGGREGATION,
    ANNOTATION_MODEL_FORMAT,
    ANNOTATION_PROMETHEUS_SCRAPING,
    AUTOSCALING_PREFIX,
    CLUSTER_LOCAL,
    LABEL_COMPONENT,
    LABEL_INFERENCE_SERVICE,
    LABEL_KSERVE_VISIBILITY,
    LABEL_MANAGED_BY,
    LABEL_VISIBILITY,
    MANAGER,
    PREDICTOR,
)
from haizen_operator.resources.autoscaling import autoscaling_annotations

_TO_SERVICE_PREFIXES = ("serving.knative.dev/", "networking.knative.dev/")
_DROPPED_PREFIXES = (
    "kubectl.kubernetes.io/",
    "deployment.kubernetes.io/",
    "argocd.argoproj.io/",
    "meta.helm.sh/",
    "helm.sh/",
    "kapp.k14s.io/",
    "pulumi.com/",
    "serving.kserve.io/",
    "storage.kserve.io/",
    "internal.serving.kserve.io/",
    "networking.kserve.io/",
    "haizen.dev/",
)
_DROPPED = frozenset({ANNOTATION_MODEL_FORMAT, LABEL_MANAGED_BY, "kubernetes.io/change-cause"})
_FLUX_SUFFIX = ".toolkit.fluxcd.io"
# Set by Knative itself; refused in what others apply.
_KNATIVE_OWN = frozenset({"serving.knative.dev/creator", "serving.knative.dev/lastModifier"})
_QUEUE_PROXY_METRICS_PORT = "9091"


@dataclass(frozen=True, slots=True)
class ServiceMetadata:
    """Labels and annotations of a Knative Service and of its revision template."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    template_labels: Mapping[str, str]
    template_annotations: Mapping[str, str]


def predictor_metadata(
    isvc: InferenceService,
    runtime: ServingRuntime | None,
    config: OperatorConfig,
    extra_labels: Mapping[str, str],
) -> ServiceMetadata:
    """Metadata for the predictor's Knative Service; ``extra_labels`` are those of known servers (modelClass)."""
    predictor = isvc.spec.predictor
    runtime_labels = runtime.spec.labels if runtime is not None else {}
    runtime_annotations = runtime.spec.annotations if runtime is not None else {}
    ours = {LABEL_INFERENCE_SERVICE: isvc.metadata.name, LABEL_COMPONENT: PREDICTOR}

    labels = {**runtime_labels, **isvc.metadata.labels, **extra_labels, **predictor.labels}
    template_labels = {
        key: value
        for key, value in labels.items()
        if reaches_template(key) and key != LABEL_VISIBILITY and key not in config.label_disallowed
    } | ours
    annotations = {**runtime_annotations, **isvc.metadata.annotations, **predictor.annotations}
    allowed = {key: value for key, value in annotations.items() if key not in config.annotation_disallowed}
    template_annotations = {
        key: value for key, value in allowed.items() if reaches_template(key) and not key.startswith(AUTOSCALING_PREFIX)
    }
    template_annotations = _scraping(annotations) | template_annotations
    template_annotations |= autoscaling_annotations(
        predictor, allowed, allow_zero_initial_scale=config.knative.allow_zero_initial_scale
    )
    service_labels = template_labels | {LABEL_MANAGED_BY: MANAGER}
    if CLUSTER_LOCAL in (labels.get(LABEL_VISIBILITY), labels.get(LABEL_KSERVE_VISIBILITY)):
        service_labels[LABEL_VISIBILITY] = CLUSTER_LOCAL
    service_annotations = {key: value for key, value in allowed.items() if _reaches_service(key)}
    return ServiceMetadata(service_labels, service_annotations, template_labels, template_annotations)


def reaches_template(key: str) -> bool:
    """Whether a label or annotation of an InferenceService goes into the revision template (the table above)."""
    if key in _DROPPED or key == ANNOTATION_ENABLE_PASSTHROUGH:
        return False
    if key.startswith((*_DROPPED_PREFIXES, *_TO_SERVICE_PREFIXES)):
        return False
    return not key.partition("/")[0].endswith(_FLUX_SUFFIX)


def _reaches_service(key: str) -> bool:
    if key in _KNATIVE_OWN:
        return False
    return key == ANNOTATION_ENABLE_PASSTHROUGH or key.startswith(_TO_SERVICE_PREFIXES)


def _scraping(annotations: Mapping[str, str]) -> dict[str, str]:
    """KServe's rule: scrape the queue-proxy's metrics, or the aggregated ones, which need KServe's queue-proxy."""
    if annotations.get(ANNOTATION_PROMETHEUS_SCRAPING, "").lower() != "true":
        return {}
    if annotations.get(ANNOTATION_METRIC_AGGREGATION, "").lower() == "true":
        return {}
    return {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": _QUEUE_PROXY_METRICS_PORT,
        "prometheus.io/path": "/metrics",
    }
