"""The cluster's DNS: names of Services, for pods; it runs on the node's address."""

from pathlib import Path

from e2e.cluster import settings
from e2e.cluster.processes import Process

READY_URL = "http://127.0.0.1:8181/ready"


def write_configuration() -> None:
    """Write CoreDNS's configuration."""
    _file().parent.mkdir(parents=True, exist_ok=True)
    kubeconfig = settings.kubeconfig()
    _file().write_text(
        f""".:53 {{
    bind {settings.NODE_ADDRESS}
    errors
    ready 127.0.0.1:8181
    cache 5 {{
        denial 0
    }}
    kubernetes cluster.local {{
        kubeconfig {kubeconfig} {settings.NAME}
        ttl 5
    }}
}}
"""
    )


def dns(binaries: Path) -> Process:
    """The DNS server."""
    return Process("dns", [binaries / "dns", "-conf", _file()])


def _file() -> Path:
    return settings.state_root() / "node" / "Corefile"
