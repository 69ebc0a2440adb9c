"""What KServe's webhook asks of annotations, and of fields that depend on them.

CEL rules of a CRD see no annotations, so these checks are for the offline validator, and for the operator, which says
them in a condition.
"""

from typing import Any

from haizen_operator.api.problem import Problem

DEPLOYMENT_MODE = "serving.kserve.io/deploymentMode"
AUTOSCALER_CLASS = "serving.kserve.io/autoscalerClass"
KNATIVE_CLASS = "autoscaling.knative.dev/class"

#: Both vocabularies: KServe's names and the ones it had before.
DEPLOYMENT_MODES = {
    "Standard": "Standard",
    "RawDeployment": "Standard",
    "Knative": "Knative",
    "Serverless": "Knative",
    "ModelMesh": "ModelMesh",
}
_AUTOSCALERS = ("hpa", "external", "keda", "none")
_COMPONENTS = ("predictor", "transformer", "explainer")


def annotation_problems(manifest: dict[str, Any], default_mode: str = "Knative") -> list[Problem]:
    """What is wrong with the annotations of an InferenceService, given the mode of services that name none."""
    if manifest.get("kind") != "InferenceService":
        return []
    metadata, spec = manifest.get("metadata"), manifest.get("spec")
    annotations = (metadata.get("annotations") if isinstance(metadata, dict) else None) or {}
    if not isinstance(annotations, dict) or not isinstance(spec, dict):
        return []
    mode = DEPLOYMENT_MODES.get(str(annotations.get(DEPLOYMENT_MODE, default_mode)))
    problems = [
        *_mode_problems(manifest, annotations, mode),
        *_autoscaler_problems(annotations),
    ]
    if mode == "Knative":
        for name in _COMPONENTS:
            if isinstance(spec.get(name), dict):
                hpa = annotations.get(KNATIVE_CLASS, "").startswith("hpa.")
                problems += _knative_problems(f"spec.{name}", spec[name], hpa=hpa)
    if spec.get("canary") and mode != "Standard":
        problems.append(Problem("spec.canary", f"must be left out unless {DEPLOYMENT_MODE} is Standard"))
    return problems


def _mode_problems(manifest: dict[str, Any], annotations: dict[str, Any], mode: str | None) -> list[Problem]:
    field = f"metadata.annotations[{DEPLOYMENT_MODE}]"
    if mode is None:
        return [Problem(field, f"must be one of {', '.join(DEPLOYMENT_MODES)}")]
    status = manifest.get("status")
    recorded = DEPLOYMENT_MODES.get(str(status.get("deploymentMode"))) if isinstance(status, dict) else None
    if recorded and DEPLOYMENT_MODE in annotations and mode != recorded:
        return [Problem(field, f"must stay {recorded}: the deployment mode of a service never changes")]
    return []


def _autoscaler_problems(annotations: dict[str, Any]) -> list[Problem]:
    autoscaler = annotations.get(AUTOSCALER_CLASS)
    if autoscaler is None or autoscaler in _AUTOSCALERS:
        return []
    return [Problem(f"metadata.annotations[{AUTOSCALER_CLASS}]", f"must be one of {', '.join(_AUTOSCALERS)}")]


def _knative_problems(path: str, component: dict[str, Any], *, hpa: bool) -> list[Problem]:
    """KServe's validateScalingKPACompExtension, and its twin for Knative's HPA class."""
    problems = []
    metric, target = component.get("scaleMetric"), component.get("scaleTarget")
    allowed = ("cpu", "memory") if hpa else ("concurrency", "rps")
    if metric is not None and metric not in allowed:
        problems.append(Problem(f"{path}.scaleMetric", f"must be {allowed[0]} or {allowed[1]} in Knative mode"))
    if metric == "rps" and isinstance(target, int) and target < 1:
        problems.append(Problem(f"{path}.scaleTarget", "must be 1 or more for scaleMetric rps"))
    if component.get("deploymentStrategy") is not None and not hpa:
        problems.append(Problem(f"{path}.deploymentStrategy", "must be left out in Knative mode"))
    return problems
