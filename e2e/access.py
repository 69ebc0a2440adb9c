"""Which cluster the stories run on: the user's (KUBECONFIG) or the one-node cluster of e2e/cluster."""

import os
from dataclasses import dataclass
from pathlib import Path

from e2e.kubectl import Kubectl


@dataclass(frozen=True, slots=True)
class Access:
    """A kubeconfig, the gateway's base URL as this machine reaches it, and which operator image the cluster has."""

    kubeconfig: Path
    gateway: str
    operator_digest: str = ""


def connect() -> Access:
    """Return the user's cluster when KUBECONFIG is set, else bring ours up.

    With a cluster of the user's, HAIZEN_GATEWAY names its gateway; without it, Kourier's load balancer is asked for.
    Raises RuntimeError when no gateway can be found.
    """
    chosen = os.environ.get("KUBECONFIG")
    if chosen:
        kubeconfig = Path(chosen.split(os.pathsep)[0])
        return Access(kubeconfig, os.environ.get("HAIZEN_GATEWAY") or _kourier(Kubectl(kubeconfig)))
    from e2e.cluster import cluster, images, settings
    from e2e.cluster.progress import Progress

    ready = cluster.up(Progress())
    os.environ.setdefault("HAIZEN_HELM", str(ready.helm))
    return Access(ready.kubeconfig, ready.gateway, images.digest_of(settings.OPERATOR_IMAGE))


def _kourier(kubectl: Kubectl) -> str:
    service = kubectl.get("service", "kourier", "kourier-system")
    ingress = (((service or {}).get("status") or {}).get("loadBalancer") or {}).get("ingress") or []
    if not ingress:
        raise RuntimeError(
            "no gateway found: set HAIZEN_GATEWAY to the URL of the Knative ingress, e.g. http://10.0.0.5:80"
        )
    return f"http://{ingress[0].get('ip') or ingress[0].get('hostname')}"
