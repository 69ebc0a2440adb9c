"""What the operator would make of an InferenceService: the runtime it chooses and the Knative Service it applies."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from haizen_cli.errors import CliError
from haizen_cli.workspace import Service, Workspace
from haizen_operator import names
from haizen_operator.resources import make_predictor_service, not_supported_yet, without_effect
from haizen_operator.resources.credentials import service_account_name, storage_access
from haizen_operator.resources.errors import ResourceError
from haizen_operator.rollout import Memory, decide_traffic
from haizen_operator.selection import PinnedRuntime, Selection, SelectionError, select_runtime


@dataclass(frozen=True)
class Decision:
    """The outcome for one InferenceService.

    Attributes:
        selection: The chosen runtime; None for a custom container, which needs none.
        knative_service: The Knative Service that the operator would apply, without traffic.
        notes: What the operator would warn of: fields without effect, Secrets that were not found.
    """

    service: Service
    selection: Selection | None
    knative_service: dict[str, Any]
    notes: tuple[str, ...] = ()

    @property
    def canary_percent(self) -> int | None:
        """``canaryTrafficPercent`` of the predictor."""
        return self.service.isvc.spec.predictor.canary_traffic_percent

    def first_deployment(self) -> dict[str, Any]:
        """Return the Knative Service with the traffic it gets when it is applied for the first time."""
        metadata: Mapping[str, Any] = self.knative_service["spec"]["template"]["metadata"]
        traffic = decide_traffic(
            self.canary_percent,
            Memory(),
            [],
            metadata["annotations"][names.ANNOTATION_TEMPLATE_HASH],
            None,
            tag_routing=self.service.isvc.metadata.annotations.get(names.ANNOTATION_TAG_ROUTING) == "true",
        )
        return traffic.applied_to(self.knative_service)


class NoRuntime(CliError):
    """No runtime serves the model; ``selection`` says why for each that was looked at."""

    def __init__(self, error: SelectionError, where: str) -> None:
        super().__init__(f"{error.reason}: {error.message}", where=where)
        self.selection = error


def decide(
    service: Service, workspace: Workspace, pinned: PinnedRuntime | None = None, *, local: bool = False
) -> Decision:
    """Choose the runtime and make the Knative Service, exactly as the operator would.

    Args:
        service: The InferenceService.
        workspace: Runtimes, Secrets, ServiceAccounts and configuration that came with it.
        pinned: The runtime that serves it already, which is kept as long as the model asks for the same.
        local: Whether it is for this machine, where deployment modes make no difference.

    Raises:
        NoRuntime: no runtime serves the model.
        CliError: the spec gives no Knative Service; the message names the field.
    """
    isvc, document = service.isvc, service.document
    refuse_what_is_not_built(service, workspace, local=local)
    selection = None
    if isvc.spec.predictor.effective_model() is not None:
        try:
            selection = select_runtime(
                isvc, workspace.runtimes_of(service.namespace), workspace.cluster_runtimes, pinned
            )
        except SelectionError as error:
            raise NoRuntime(error, document.where("spec.predictor")) from error
    by_name = {o["metadata"]["name"]: o for o in workspace.objects("ServiceAccount", service.namespace)}
    secrets = {o["metadata"]["name"]: o for o in workspace.objects("Secret", service.namespace)}
    access = storage_access(isvc, by_name.get(service_account_name(isvc)), secrets, workspace.config.credentials)
    try:
        knative_service = make_predictor_service(isvc, selection, workspace.config, access)
    except ResourceError as error:
        raise CliError(error.message, where=document.where(error.field)) from error
    notes = [f"{finding.field} has no effect: {finding.message}" for finding in without_effect(isvc)]
    return Decision(service, selection, knative_service, (*notes, *access.warnings))


def refuse_what_is_not_built(service: Service, workspace: Workspace, *, local: bool = False) -> None:
    """Raise CliError for what the operator accepts but answers with NotSupportedYet."""
    for finding in not_supported_yet(service.isvc, workspace.config.default_deployment_mode):
        if local and names.ANNOTATION_DEPLOYMENT_MODE in finding.field:
            continue
        raise CliError(
            f"NotSupportedYet: {finding.field}: {finding.message}", where=service.document.where(finding.field)
        )


def pinned_by(selection: Selection | None) -> PinnedRuntime | None:
    """Return the pin of an earlier choice, so that the next one stays with it."""
    return PinnedRuntime(selection.kind, selection.name, selection.choice) if selection is not None else None
