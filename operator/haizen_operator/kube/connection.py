"""Where the API server is and how to authenticate, by the `kubernetes` package's own configuration.

The pod's ServiceAccount, a kubeconfig with certificates, tokens, an exec plugin or an auth provider all work, and
tokens are refreshed by the package. kopf gets the same credentials, so that there is one way to log in.
"""

import os
from dataclasses import dataclass
from typing import Any

from kubernetes.aio import config
from kubernetes.aio.client import Configuration as ClusterConfiguration
from kubernetes.aio.config import ConfigException

_config: Any = config  # its functions are not typed
_HOME_KUBECONFIG = os.path.expanduser("~/.kube/config")
CONNECTIONS = 32
"""Most connections at a time: one for each apply that waits in Knative's webhook during a burst."""

__all__ = ["CONNECTIONS", "ClusterConfiguration", "Credentials", "NoCluster", "credentials_of", "load_configuration"]


class NoCluster(Exception):
    """Neither a kubeconfig nor a ServiceAccount says where the API server is."""


@dataclass(frozen=True)
class Credentials:
    """What another client (kopf) needs to log in: server, TLS files, and an Authorization value."""

    server: str
    ca_path: str | None
    insecure: bool
    certificate_path: str | None
    private_key_path: str | None
    scheme: str | None
    token: str | None
    proxy_url: str | None


async def load_configuration(kubeconfig: str | None = None, context: str | None = None) -> ClusterConfiguration:
    """Read the connection: the given kubeconfig, else $KUBECONFIG, else the pod's ServiceAccount, else ~/.kube/config.

    Raises:
        NoCluster: nothing of that exists or can be read; the message says what was tried.
    """
    configuration = ClusterConfiguration()
    configuration.retries = None  # the client retries by itself, with jitter and Retry-After
    configuration.connection_pool_maxsize = CONNECTIONS
    configuration.client_session_kwargs = {"trust_env": False}  # a proxy comes from the kubeconfig, not from the env
    explicit = kubeconfig or os.environ.get("KUBECONFIG")
    try:
        if not explicit:
            try:
                _config.load_incluster_config(client_configuration=configuration)
                return configuration
            except ConfigException:
                explicit = _HOME_KUBECONFIG
        await _config.load_kube_config(
            config_file=explicit, context=context, client_configuration=configuration, persist_config=False
        )
    except (ConfigException, OSError, ValueError) as error:
        raise NoCluster(
            f"cannot find the Kubernetes API server: no ServiceAccount in a pod, and {explicit}: {error}. "
            "Set KUBECONFIG or HAIZEN_OPERATOR_KUBECONFIG to a kubeconfig file."
        ) from error
    return configuration


async def credentials_of(configuration: ClusterConfiguration) -> Credentials:
    """The same connection in plain fields; tokens are fresh at the time of the call."""
    header = await configuration.get_api_key_with_prefix("BearerToken", alias="authorization")
    scheme, _, token = (header or "").rpartition(" ")
    return Credentials(
        server=configuration.host,
        ca_path=configuration.ssl_ca_cert,
        insecure=not configuration.verify_ssl,
        certificate_path=configuration.cert_file,
        private_key_path=configuration.key_file,
        scheme=scheme or None,
        token=token or None,
        proxy_url=configuration.proxy,
    )
