"""The Knative Service of a predictor: everything but its traffic."""

from collections.abc import Mapping
from typing import Any

from haizen_operator.api import InferenceService
from haizen_operator.config import OperatorConfig
from haizen_operator.names import (
    ANNOTATION_GKE_ACCELERATOR,
    ANNOTATION_RUNTIME_CHOICE,
    predictor_service_name,
)
from haizen_operator.resources.container import (
    defaults_for_server,
    downloads_model,
    pod_of_containers,
    pod_of_model,
)
from haizen_operator.resources.hashing import canonical, with_template_hash
from haizen_operator.resources.image import GPU_RESOURCE
from haizen_operator.resources.metadata import predictor_metadata
from haizen_operator.resources.storage import attach_storage
from haizen_operator.resources.storage_access import NO_ACCESS, StorageAccess
from haizen_operator.selection import Selection

_GKE_ACCELERATOR_LABEL = "cloud.google.com/gke-accelerator"


def make_predictor_service(
    isvc: InferenceService,
    selection: Selection | None,
    config: OperatorConfig,
    storage: StorageAccess = NO_ACCESS,
) -> dict[str, Any]:
    """The Knative Service ``<isvc>-predictor`` without traffic; the same input gives the same bytes.

    ``selection`` is none for a predictor with its own containers. The template carries the annotation
    ``haizen.dev/template-hash``, so it changes only when what runs changes. Raises ``ResourceError``.
    """
    predictor = isvc.spec.predictor
    if selection is None:
        pod = pod_of_containers(isvc, config.resources)
        metadata = predictor_metadata(isvc, None, config, {})
    else:
        pod = pod_of_model(isvc, selection)
        extra_labels = defaults_for_server(isvc, selection).labels
        metadata = predictor_metadata(isvc, selection.runtime, config, extra_labels)
    pod = attach_storage(pod, isvc, storage, config, server_downloads=downloads_model(selection))
    pod = _with_accelerator(pod, isvc.metadata.annotations.get(ANNOTATION_GKE_ACCELERATOR))
    pod = _with_token_setting(pod, config)
    if predictor.container_concurrency is not None:
        pod["containerConcurrency"] = predictor.container_concurrency
    if predictor.timeout is not None:
        pod |= {"timeoutSeconds": predictor.timeout, "responseStartTimeoutSeconds": predictor.timeout}
    template = {
        "metadata": {"labels": dict(metadata.template_labels), "annotations": dict(metadata.template_annotations)},
        "spec": pod,
    }
    annotations = dict(metadata.annotations)
    if selection is not None:
        annotations[ANNOTATION_RUNTIME_CHOICE] = selection.choice.to_annotation()
    own: dict[str, Any] = {
        "name": predictor_service_name(isvc.metadata.name),
        "namespace": isvc.metadata.namespace or "default",
        "labels": dict(metadata.labels),
        "annotations": annotations,
    }
    if isvc.metadata.uid:
        own["ownerReferences"] = [owner_reference(isvc)]
    service = {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": own,
        "spec": {"template": with_template_hash(template)},
    }
    result: dict[str, Any] = canonical(service)
    return result


def owner_reference(isvc: InferenceService) -> dict[str, Any]:
    """The reference that makes an InferenceService the controller of a child, so that the child goes with it."""
    return {
        "apiVersion": isvc.api_version,
        "kind": isvc.kind,
        "name": isvc.metadata.name,
        "uid": isvc.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def _with_accelerator(pod: Mapping[str, Any], accelerator: str | None) -> dict[str, Any]:
    """KServe's rule: the annotation chooses GKE nodes when a container has a limit of nvidia.com/gpu."""
    limited = any(GPU_RESOURCE in ((it.get("resources") or {}).get("limits") or {}) for it in pod["containers"])
    if not accelerator or not limited:
        return dict(pod)
    return {**pod, "nodeSelector": {**(pod.get("nodeSelector") or {}), _GKE_ACCELERATOR_LABEL: accelerator}}


def _with_token_setting(pod: Mapping[str, Any], config: OperatorConfig) -> dict[str, Any]:
    wanted = pod.get("automountServiceAccountToken", config.automount_service_account_token)
    rest = {key: value for key, value in pod.items() if key != "automountServiceAccountToken"}
    # Knative knows only false; true is what it does anyway.
    return rest if wanted else {**rest, "automountServiceAccountToken": False}
