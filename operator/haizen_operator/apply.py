"""Carry out a Plan: the only place where the operator changes the cluster.

The order matters: first what the next steps rely on (finalizers gone, fields taken over), then the children, then the
status, so that a status never promises what was not applied, and a process killed in between is put right by the next
reconcile.
"""

import logging
from typing import Any

from haizen_operator import events
from haizen_operator.kinds import EVENT, INFERENCE_SERVICE, kind_of
from haizen_operator.kube.client import KubeClient
from haizen_operator.kube.errors import ApiError, Conflict, NamespaceTerminating, Rejected
from haizen_operator.managed_fields import taken_over
from haizen_operator.plan import MANAGER, Deletion, Event, JsonPatch, Plan

logger = logging.getLogger(__name__)
STATUS_MANAGER = "haizen-status"
_FAILED_TEST = "the server rejected our request due to an error in our request"
"""What the API server says when the operations of a JSON patch cannot be carried out; refusals have other words."""

Manifest = dict[str, Any]


async def carry_out(client: KubeClient, plan: Plan) -> None:
    """Do what the plan says, without its status and events.

    Raises:
        Rejected: the API server or a webhook refuses a child; the message is theirs.
        Conflict: the world changed since it was observed; observe again.
        ApiError: anything else that the API did not grant.
    """
    for patch in plan.patches:
        await _patch(client, patch)
    for manifest in plan.apply:
        await client.apply(kind_of(manifest), manifest, manager=MANAGER)
        logger.info("applied %s", _named(manifest))
    for deletion in plan.delete:
        await _delete(client, deletion)


async def report(client: KubeClient, isvc: Manifest, plan: Plan, time: str) -> None:
    """Write the plan's status, if it has one, then post the events that its change is worth; `time` is RFC 3339."""
    if plan.status is not None:
        await write_status(client, isvc, plan.status)
    for event in plan.events:
        await post(client, isvc, event, time)


async def write_status(client: KubeClient, isvc: Manifest, status: Manifest) -> None:
    """Make the status exactly this, whoever wrote the one that is there.

    One server-side apply is the rule. Fields that another controller left (KServe before a takeover) first become ours,
    so that the apply removes those that are not wanted; what nobody owns, or what an apply cannot bring about (taking
    a field away may leave a null that the schema forbids), is replaced outright.
    """
    metadata = isvc["metadata"]
    name, namespace = metadata["name"], metadata["namespace"]
    mine = taken_over(metadata.get("managedFields") or [], manager=STATUS_MANAGER, subresource="status")
    if mine is not None and isvc.get("status"):
        operations = (
            {"op": "test", "path": "/metadata/resourceVersion", "value": metadata["resourceVersion"]},
            {"op": "replace", "path": "/metadata/managedFields", "value": mine},
        )
        await _patch(client, JsonPatch(INFERENCE_SERVICE, name, namespace, operations, "status taken over"))
    body = {
        "apiVersion": INFERENCE_SERVICE.api_version,
        "kind": INFERENCE_SERVICE.kind,
        "metadata": {"name": name, "namespace": namespace, "uid": metadata["uid"]},
        "status": status,
    }
    try:
        written = await client.apply(INFERENCE_SERVICE, body, manager=STATUS_MANAGER, subresource="status")
        if written.get("status") == status:
            return
    except Rejected as refusal:
        logger.info("%s: the status is replaced: %s", _named(isvc), refusal.message)
    replacement: tuple[Manifest, ...] = (
        {"op": "test", "path": "/metadata/uid", "value": metadata["uid"]},
        {"op": "add", "path": "/status", "value": status},
    )
    await _patch(client, JsonPatch(INFERENCE_SERVICE, name, namespace, replacement, "status replaced", "status"))


async def post(client: KubeClient, isvc: Manifest, event: Event, time: str) -> None:
    """Post one Event about the InferenceService; that it cannot be posted must not stop anything else."""
    try:
        await client.create(EVENT, events.manifest(isvc, event, time), manager=MANAGER)
    except (Conflict, NamespaceTerminating):
        return  # the same event, posted before this process was restarted; or nobody will be there to read it
    except ApiError as error:
        logger.warning("cannot post the event %s for %s: %s", event.reason, _named(isvc), error)


async def _patch(client: KubeClient, patch: JsonPatch) -> None:
    try:
        await client.patch(
            patch.kind,
            patch.name,
            patch.namespace,
            list(patch.operations),
            manager=STATUS_MANAGER if patch.subresource == "status" else MANAGER,
            subresource=patch.subresource,
        )
    except Rejected as error:
        # A failed `test` means that the object changed since it was read: not a refusal, but a reason to look again.
        if error.message.startswith(_FAILED_TEST):
            raise Conflict(error.message, status=error.status, what=error.what) from error
        raise
    logger.info("patched %s %s/%s: %s", patch.kind.kind, patch.namespace, patch.name, patch.why)


async def _delete(client: KubeClient, deletion: Deletion) -> None:
    await client.delete(deletion.kind, deletion.name, deletion.namespace, uid=deletion.uid)
    logger.info("deleted %s %s/%s", deletion.kind.kind, deletion.namespace, deletion.name)


def _named(manifest: Manifest) -> str:
    metadata = manifest["metadata"]
    return f"{manifest.get('kind')} {metadata.get('namespace')}/{metadata['name']}"
