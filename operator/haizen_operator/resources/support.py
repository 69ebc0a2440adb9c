"""Nothing is ignored in silence: what a spec asks for that is not built yet, and what has no effect at all."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from haizen_operator.api import InferenceService, PredictorSpec
from haizen_operator.config import KNATIVE_MODE, deployment_mode
from haizen_operator.names import (
    ANNOTATION_AUTOSCALER_CLASS,
    ANNOTATION_DEPLOYMENT_MODE,
    ANNOTATION_DISABLE_AUTO_UPDATE,
    ANNOTATION_METRIC_AGGREGATION,
    ANNOTATION_METRICS,
    ANNOTATION_SCALING_CLASS,
    ANNOTATION_SCALING_METRIC,
    ANNOTATION_TARGET_UTILIZATION,
    KPA_CLASS,
    predictor_service_name,
)


@dataclass(frozen=True, slots=True)
class Finding:
    """A field of an InferenceService, and what there is to say about it."""

    field: str
    message: str


_NO_EFFECT_ANNOTATIONS: Mapping[str, str] = {
    ANNOTATION_METRICS: "no version of KServe still reads it; use scaleMetric",
    "serving.kserve.io/metric": "no version of KServe reads it; use scaleMetric",
    ANNOTATION_TARGET_UTILIZATION: "no version of KServe still reads it; use scaleTarget",
    ANNOTATION_AUTOSCALER_CLASS: "it is for Standard mode; Knative scales by its own autoscaler",
    ANNOTATION_METRIC_AGGREGATION: "it needs KServe's own queue-proxy; scrape the server's /metrics instead",
    ANNOTATION_DISABLE_AUTO_UPDATE: "a new runtime rolls no pods anyway; only an edit of the runtime in use does",
    "prometheus.kserve.io/port": "it belongs to serving.kserve.io/enable-metric-aggregation",
    "prometheus.kserve.io/path": "it belongs to serving.kserve.io/enable-metric-aggregation",
    "serving.kserve.io/storage-initializer-uid": "the init container always runs as its image's own user",
    "serving.kserve.io/nodegroup": "there is no cache of local models",
    "serving.kserve.io/logger-secret-name": "there is no logger",
}


def not_supported_yet(isvc: InferenceService, default_mode: str = KNATIVE_MODE) -> list[Finding]:
    """What the service asks for that is accepted but not built; any of it makes the service not Ready.

    ``default_mode`` is the cluster's deployment mode for services that name none.
    """
    return list(_not_supported(isvc, default_mode))


def without_effect(isvc: InferenceService) -> list[Finding]:
    """Fields and annotations that change nothing, each with what does instead; a Warning event names them."""
    return list(_without_effect(isvc))


def _not_supported(isvc: InferenceService, default_mode: str) -> Iterator[Finding]:
    mode = deployment_mode(
        isvc.status.get("deploymentMode"), isvc.metadata.annotations.get(ANNOTATION_DEPLOYMENT_MODE), default_mode
    )
    if mode != KNATIVE_MODE:
        yield Finding(
            _annotation(ANNOTATION_DEPLOYMENT_MODE),
            f"deployment mode {mode} is not supported yet; use {KNATIVE_MODE}",
        )
    spec, predictor = isvc.spec, isvc.spec.predictor
    if spec.transformer is not None:
        yield _missing("spec.transformer", "a transformer")
    if spec.explainer is not None:
        yield _missing("spec.explainer", "an explainer")
    if spec.canary:
        yield Finding(
            "spec.canary",
            "several canaries (Standard mode) are not supported yet; use spec.predictor.canaryTrafficPercent",
        )
    if predictor.logger is not None:
        yield _missing("spec.predictor.logger", "the payload logger")
    if predictor.batcher is not None:
        yield _missing("spec.predictor.batcher", "the batcher sidecar")
    if predictor.worker_spec is not None:
        yield _missing("spec.predictor.workerSpec", "a model on several nodes")
    if predictor.storage_container_name:
        yield _missing("spec.predictor.storageContainerName", "a ClusterStorageContainer")
    annotations = {**isvc.metadata.annotations, **predictor.annotations}
    scaled_by_kpa = annotations.get(ANNOTATION_SCALING_CLASS, KPA_CLASS) == KPA_CLASS
    # KServe's rule, and Knative's: the KPA class knows concurrency and rps only.
    metric = predictor.scale_metric or annotations.get(ANNOTATION_SCALING_METRIC)
    field = "spec.predictor.scaleMetric" if predictor.scale_metric else _annotation(ANNOTATION_SCALING_METRIC)
    if metric in ("cpu", "memory") and scaled_by_kpa:
        yield Finding(
            field,
            f"scaling by {metric} is not supported yet with Knative's own autoscaler; use concurrency or rps, or the "
            f"annotation {ANNOTATION_SCALING_CLASS}: hpa.autoscaling.knative.dev where that extension is installed",
        )
    yield from _model_not_supported(predictor)


def _model_not_supported(predictor: PredictorSpec) -> Iterator[Finding]:
    model = predictor.effective_model()
    if model is None:
        for container in predictor.containers:
            for variable in container.get("env") or []:
                if variable.get("name") == "MULTI_MODEL_SERVER" and variable.get("value") == "true":
                    yield _missing("spec.predictor.containers", "several models in one server (MULTI_MODEL_SERVER)")
        return
    if model.confidential is not None and model.confidential.enabled:
        yield _missing("spec.predictor.model.confidential", "an encrypted model")


def _without_effect(isvc: InferenceService) -> Iterator[Finding]:
    predictor, annotations = isvc.spec.predictor, isvc.metadata.annotations
    scaling_class = {**annotations, **predictor.annotations}.get(ANNOTATION_SCALING_CLASS, KPA_CLASS)
    if scaling_class.startswith("hpa.") and predictor.min_replicas == 0:
        yield Finding("spec.predictor.minReplicas", f"{scaling_class} never scales to zero; one pod stays")
    if predictor.scale_metric_type is not None:
        yield Finding(
            "spec.predictor.scaleMetricType", "no version of KServe reads it; scaleTarget is an average per pod"
        )
    if predictor.deployment_strategy is not None:
        yield Finding(
            "spec.predictor.deploymentStrategy", "it is for Standard mode; Knative replaces pods by revisions"
        )
    if predictor.autoscaling is not None:
        yield Finding("spec.predictor.autoScaling", "it is for Standard mode; use scaleMetric and scaleTarget")
    if predictor.name:
        yield Finding(
            "spec.predictor.name",
            "it tells canaries of Standard mode apart; the Knative Service is called "
            f"{predictor_service_name(isvc.metadata.name)} all the same",
        )
    if predictor.batcher is not None and predictor.batcher.timeout is not None:
        yield Finding("spec.predictor.batcher.timeout", "no version of KServe reads it")
    model = predictor.effective_model()
    if model is not None and model.storage is not None and model.storage.schema_path:
        yield Finding("spec.predictor.model.storage.schemaPath", "only ModelMesh reads it")
    for name, why in _NO_EFFECT_ANNOTATIONS.items():
        if name in annotations:
            yield Finding(_annotation(name), why)


def _annotation(name: str) -> str:
    return f"metadata.annotations[{name}]"


def _missing(field: str, what: str) -> Finding:
    return Finding(field, f"{what} is not supported yet")
