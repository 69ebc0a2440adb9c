"""The annotations that tell Knative's autoscaler (KPA) how far a predictor may scale."""

from collections.abc import Mapping

from haizen_operator.api import ComponentSpec
from haizen_operator.names import (
    ANNOTATION_INITIAL_SCALE,
    ANNOTATION_MAX_SCALE,
    ANNOTATION_MIN_SCALE,
    ANNOTATION_SCALING_CLASS,
    ANNOTATION_SCALING_METRIC,
    ANNOTATION_SCALING_TARGET,
    AUTOSCALING_PREFIX,
    KPA_CLASS,
)

_DEFAULT_MIN_REPLICAS = 1
#: Set from the fields of the spec only; as annotations of a user they are dropped (KServe's rule).
_FROM_FIELDS_ONLY = frozenset({ANNOTATION_MIN_SCALE, ANNOTATION_MAX_SCALE})


def autoscaling_annotations(
    component: ComponentSpec, annotations: Mapping[str, str], *, allow_zero_initial_scale: bool
) -> dict[str, str]:
    """The ``autoscaling.knative.dev/`` annotations of the revision template.

    ``annotations`` are the user's, already joined by priority; their ``autoscaling.knative.dev/`` ones pass through.
    KServe's rules: the class is kpa unless an annotation says otherwise, ``min-scale`` is always written ("1" when
    minReplicas is left out), ``max-scale`` unless maxReplicas is 0, ``scaleTarget`` and ``scaleMetric`` win over
    annotations, and an ``initial-scale`` that is no number, or 0 where Knative does not allow it, is left out.
    """
    result = {
        key: value
        for key, value in annotations.items()
        if key.startswith(AUTOSCALING_PREFIX) and key not in _FROM_FIELDS_ONLY
    }
    result.setdefault(ANNOTATION_SCALING_CLASS, KPA_CLASS)
    if component.scale_target is not None:
        result[ANNOTATION_SCALING_TARGET] = str(component.scale_target)
    if component.scale_metric is not None:
        result[ANNOTATION_SCALING_METRIC] = component.scale_metric
    minimum = _DEFAULT_MIN_REPLICAS if component.min_replicas is None else component.min_replicas
    result[ANNOTATION_MIN_SCALE] = str(minimum)
    if component.max_replicas:
        result[ANNOTATION_MAX_SCALE] = str(component.max_replicas)
    if dropped_initial_scale(result, allow_zero_initial_scale=allow_zero_initial_scale) is not None:
        del result[ANNOTATION_INITIAL_SCALE]
    return result


def dropped_initial_scale(annotations: Mapping[str, str], *, allow_zero_initial_scale: bool) -> str | None:
    """Why an ``initial-scale`` annotation is left out, none when it stays (or is not there)."""
    value = annotations.get(ANNOTATION_INITIAL_SCALE)
    if value is None:
        return None
    try:
        scale = int(value)
    except ValueError:
        return f"{ANNOTATION_INITIAL_SCALE} is {value!r}; a whole number was expected, so it is left out"
    if scale == 0 and not allow_zero_initial_scale:
        return (
            f'{ANNOTATION_INITIAL_SCALE} is "0", which Knative allows only with allow-zero-initial-scale: "true" '
            "in ConfigMap config-autoscaler, so it is left out"
        )
    return None
