"""The Knative Service that a spec asks for, or what stands in its way. Pure."""

from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from haizen_operator import names
from haizen_operator.api import ClusterServingRuntime, InferenceService, ServingRuntime
from haizen_operator.api.validation import validate_manifest
from haizen_operator.config import KNATIVE_MODE, ConfigError, OperatorConfig
from haizen_operator.editions import read_runtime
from haizen_operator.explanation import explain
from haizen_operator.observed import Observed
from haizen_operator.ownership import Owner, owner_of
from haizen_operator.reasons import Reason
from haizen_operator.resources import ResourceError, keep_running_initializer, make_predictor_service, storage_access
from haizen_operator.resources.features import knative_problems, refused_fields
from haizen_operator.resources.support import not_supported_yet, without_effect
from haizen_operator.selection import (
    CLUSTER_KIND,
    Selection,
    SelectionError,
    pinned_runtime,
    select_runtime,
)
from haizen_operator.status import Problem, invalid_spec, selection_failed

Manifest = dict[str, Any]
_LEGACY_WORDS = {"Serverless": KNATIVE_MODE, "RawDeployment": "Standard"}


@dataclass(frozen=True)
class Wanted:
    """What the spec asks for."""

    deployment_mode: str = KNATIVE_MODE
    """In the user's own vocabulary: Knative or Serverless, Standard or RawDeployment."""
    service: Manifest | None = None
    """The predictor's Knative Service without its traffic; None when a problem prevents one."""
    problems: tuple[Problem, ...] = ()
    blocked_until_enabled: Problem | None = None
    """Knative would refuse the template until flags are enabled; one that runs already goes on."""
    serving_runtime: str | None = None
    cluster_serving_runtime: str | None = None
    canary_percent: int | None = None
    tag_routing: bool = False
    stopped: bool = False

    @property
    def template_hash(self) -> str | None:
        """The hash of the revision template, None without one."""
        if self.service is None:
            return None
        annotations = self.service["spec"]["template"]["metadata"]["annotations"]
        return str(annotations[names.ANNOTATION_TEMPLATE_HASH])


def wanted_service(observed: Observed) -> Wanted:
    """What an InferenceService asks for, as far as it can be had."""
    annotations = observed.metadata.get("annotations") or {}
    base = Wanted(
        deployment_mode=_mode_in_use(observed, annotations),
        tag_routing=annotations.get(names.ANNOTATION_TAG_ROUTING) == "true",
        stopped=annotations.get(names.ANNOTATION_STOP) == "true",
        serving_runtime=observed.status.get("servingRuntimeName"),
        cluster_serving_runtime=observed.status.get("clusterServingRuntimeName"),
    )
    if base.stopped:
        return base
    found = validate_manifest(_without_server_fields(observed.isvc))
    if found:
        return replace(base, problems=tuple(invalid_spec(problem.field, problem.message) for problem in found))
    try:
        isvc = InferenceService.from_manifest(observed.isvc)
        config = observed.configuration.settings
    except ValidationError as error:
        return replace(base, problems=tuple(_in_words(line) for line in error.errors()))
    except ConfigError as error:
        return replace(base, problems=(Problem(Reason.INVALID_CONFIGURATION, str(error)),))
    base = replace(base, canary_percent=isvc.spec.predictor.canary_traffic_percent)
    # The mode in use counts, not one that an earlier spec left in the status.
    moded = isvc.model_copy(update={"status": {**isvc.status, "deploymentMode": base.deployment_mode}})
    unsupported = not_supported_yet(moded, config.default_deployment_mode)
    if unsupported:
        problems = tuple(Problem(Reason.NOT_SUPPORTED_YET, f"{it.field}: {it.message}") for it in unsupported)
        return replace(base, problems=problems)
    return _with_service(base, observed, isvc, config)


def _with_service(base: Wanted, observed: Observed, isvc: InferenceService, config: OperatorConfig) -> Wanted:
    advisory = [
        Problem(Reason.FIELD_WITHOUT_EFFECT, f"{it.field} has no effect: {it.message}", advisory=True)
        for it in without_effect(isvc)
    ]
    selection: Selection | None = None
    if isvc.spec.predictor.effective_model() is not None:
        try:
            selection = _select(observed, isvc)
        except SelectionError as error:
            return replace(base, problems=(selection_failed(error.reason, explain(isvc, error)), *advisory))
    cluster = selection is not None and selection.kind == CLUSTER_KIND
    base = replace(
        base,
        serving_runtime=selection.name if selection is not None and not cluster else None,
        cluster_serving_runtime=selection.name if selection is not None and cluster else None,
    )
    access = storage_access(isvc, observed.service_account, observed.secrets, config.credentials)
    advisory += [Problem(Reason.CREDENTIALS_NOT_FOUND, text, advisory=True) for text in access.warnings]
    try:
        # An upgrade of haizen changes the downloader's image; that alone must roll nobody's pods.
        service = keep_running_initializer(make_predictor_service(isvc, selection, config, access), observed.service)
    except ResourceError as error:
        return replace(base, problems=(_resource_problem(error), *advisory))
    pod = service["spec"]["template"]["spec"]
    refused = refused_fields(pod)
    if refused:
        text = f"Knative never allows {', '.join(refused)} in a pod; remove it from the spec or the runtime"
        return replace(base, problems=(Problem(Reason.INVALID_SPEC, text), *advisory))
    annotations = {**isvc.metadata.annotations, **isvc.spec.predictor.annotations}
    knative = knative_problems(service, annotations, config.knative)
    # An initial scale of zero that is not allowed was left out of the service; everything else Knative would refuse.
    blocking = [it.message for it in knative if it.config_map != names.KNATIVE_AUTOSCALER_CONFIG_MAP]
    advisory += [
        Problem(Reason.FIELD_WITHOUT_EFFECT, it.message, advisory=True)
        for it in knative
        if it.config_map == names.KNATIVE_AUTOSCALER_CONFIG_MAP
    ]
    return replace(
        base,
        service=service,
        problems=tuple(advisory),
        blocked_until_enabled=Problem(Reason.KNATIVE_FEATURE_MISSING, "; ".join(blocking)) if blocking else None,
    )


def _select(observed: Observed, isvc: InferenceService) -> Selection:
    live = (
        observed.service if observed.service and owner_of(observed.service, observed.isvc) is not Owner.OTHER else None
    )
    recorded = ((live or {}).get("metadata", {}).get("annotations") or {}).get(names.ANNOTATION_RUNTIME_CHOICE)
    return select_runtime(
        isvc,
        [read_runtime(ServingRuntime, runtime) for runtime in observed.runtimes],
        [read_runtime(ClusterServingRuntime, runtime) for runtime in observed.cluster_runtimes],
        pinned_runtime(observed.status, recorded),
    )


def _mode_in_use(observed: Observed, annotations: Manifest) -> str:
    """The deployment mode, in the vocabulary that the user or KServe wrote it in."""
    asked = str(annotations.get(names.ANNOTATION_DEPLOYMENT_MODE) or "")
    status = str(observed.status.get("deploymentMode") or "")
    if observed.service is not None and owner_of(observed.service, observed.isvc) is not Owner.OTHER:
        # KServe's rule: the mode of a service that runs cannot be changed.
        return next((word for word in (asked, status) if _LEGACY_WORDS.get(word, word) == KNATIVE_MODE), KNATIVE_MODE)
    if asked:
        return asked
    if status and _LEGACY_WORDS.get(status, status) == KNATIVE_MODE:
        return status
    try:
        return observed.configuration.settings.default_deployment_mode
    except ConfigError:
        return KNATIVE_MODE


def _without_server_fields(isvc: Manifest) -> Manifest:
    """The manifest as a user would write it: what only the API server writes is not the user's fault."""
    hidden = {
        "managedFields",
        "uid",
        "resourceVersion",
        "generation",
        "creationTimestamp",
        "selfLink",
        "ownerReferences",
    }
    metadata = {key: value for key, value in isvc["metadata"].items() if key not in hidden}
    return {**{key: value for key, value in isvc.items() if key != "status"}, "metadata": metadata}


def _in_words(line: Any) -> Problem:
    return invalid_spec(".".join(str(part) for part in line["loc"]) or "spec", line["msg"])


def _resource_problem(error: ResourceError) -> Problem:
    reasons = {
        "InvalidPredictorSpec": Reason.INVALID_PREDICTOR_SPEC,
        "UnsupportedStorageUri": Reason.STORAGE_URI_NOT_SUPPORTED,
        "InvalidStorage": Reason.INVALID_SPEC,
        "NotSupportedYet": Reason.NOT_SUPPORTED_YET,
    }
    return Problem(reasons[str(error.reason)], error.message)
