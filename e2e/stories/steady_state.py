"""Idle services cost no write."""

import time

from e2e import digits
from e2e.context import Context
from e2e.kubectl import is_true, wait_for
from e2e.stories import story
from e2e.writes import operator_writes

SERVICES = 80
WATCHED_SECONDS = 300


@story("steady-state", f"steady state: {SERVICES} idle services for {WATCHED_SECONDS} s", order=120)
def steady_state(context: Context) -> None:
    """0 writes by the operator in 5 minutes, Lease renewal aside."""
    context.store.upload({"variants/1/model.joblib": digits.train_variant(context.workspace, 1)})
    idle = {"autoscaling.knative.dev/initial-scale": "0"}
    services = [
        context.inference_service(f"idle-{number}", context.store.uri("variants/1"), annotations=idle, minReplicas=0)
        for number in range(SERVICES)
    ]
    context.kubectl.apply(*services)

    def ready() -> bool:
        found = context.kubectl.list("inferenceservices", context.namespace)
        return sum(is_true(service) for service in found) >= SERVICES

    wait_for(f"{SERVICES} services are Ready", ready, timeout_seconds=900, every_seconds=5)
    wait_for("what earlier stories left is gone", lambda: not going(context), timeout_seconds=300, every_seconds=5)
    time.sleep(20)
    before = operator_writes(context)
    time.sleep(WATCHED_SECONDS)
    writes = operator_writes(context) - before
    assert not writes, f"writes while nothing changed: {dict(writes)}"
    context.note("writes in 5 minutes", 0)


def going(context: Context) -> list[str]:
    """Return the namespaces that are being deleted."""
    namespaces = context.kubectl.list("namespaces")
    return [each["metadata"]["name"] for each in namespaces if each["metadata"].get("deletionTimestamp")]
