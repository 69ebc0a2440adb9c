"""The status of an Ingress, as Knative's Route controller reads it. Pure."""

from collections.abc import Sequence

from e2e.cluster.ingress.translate import Held, Json, Object


def make_status(ingress: Object, outcome: int | Held, domain_internal: str, now: str) -> Json:
    """The whole status: `outcome` is the generation that Envoy serves, or why this one cannot be served.

    `now` is the time (RFC 3339) written to conditions that change.
    """
    served = outcome == ingress["metadata"]["generation"]
    if isinstance(outcome, Held):
        verdict = ("Unknown", "Waiting", outcome.message)
    elif served:
        verdict = ("True", "", "")
    else:
        verdict = ("Unknown", "Uninitialized", "waiting for Envoy to serve this generation")
    balancer = {"ingress": [{"domainInternal": domain_internal}]}
    old = ingress.get("status", {}).get("conditions") or ()
    return {
        "observedGeneration": ingress["metadata"]["generation"],
        "conditions": [
            _condition("LoadBalancerReady", verdict, old, now),
            _condition("NetworkConfigured", verdict, old, now),
            _condition("Ready", verdict, old, now),
        ],
        "publicLoadBalancer": balancer,
        "privateLoadBalancer": balancer,
    }


def _condition(kind: str, verdict: tuple[str, str, str], old: Sequence[Object], now: str) -> Json:
    status, reason, message = verdict
    condition: Json = {"type": kind, "status": status, "lastTransitionTime": now}
    if reason:
        condition |= {"reason": reason, "message": message}
    for before in old:
        if before["type"] == kind and before["status"] == status:
            condition["lastTransitionTime"] = before.get("lastTransitionTime", now)
    return condition
