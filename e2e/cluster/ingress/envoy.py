"""Envoy: its fixed configuration, the files it watches, and what its admin port tells."""

import hashlib
import json
import os
import re
import time
from collections.abc import Sequence
from pathlib import Path

import httpx

from e2e.cluster import settings
from e2e.cluster.ingress.translate import Json

EXTERNAL = "external"
LOCAL = "local"
_HCM = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_ROUTER = "envoy.extensions.filters.http.router.v3.Router"
_FILE_LOG = "envoy.extensions.access_loggers.file.v3.FileAccessLog"
_VERSION = re.compile(r'^(\S+)\.version_text: "([^"]*)"$', re.MULTILINE)


def configuration_folder() -> Path:
    """Where the files lie that Envoy watches."""
    return settings.state_root() / "envoy"


def bootstrap() -> Json:
    """Two listeners with routes from files, clusters from a file, the admin port."""
    folder = configuration_folder()
    return {
        "node": {"id": "gateway", "cluster": "gateway"},
        "admin": {"address": _address("127.0.0.1", settings.ENVOY_ADMIN_PORT)},
        "dynamic_resources": {"cds_config": _file_source(folder / "clusters.json")},
        "static_resources": {
            "listeners": [
                _listener(EXTERNAL, settings.NODE_ADDRESS, settings.EXTERNAL_PORT),
                _listener(LOCAL, settings.NODE_ADDRESS, settings.LOCAL_PORT),
            ]
        },
    }


def _address(address: str, port: int) -> Json:
    return {"socket_address": {"address": address, "port_value": port}}


def _file_source(file: Path) -> Json:
    return {"resource_api_version": "V3", "path_config_source": {"path": str(file)}}


def _listener(name: str, address: str, port: int) -> Json:
    manager = {
        "@type": f"type.googleapis.com/{_HCM}",
        "stat_prefix": name,
        "codec_type": "AUTO",
        "rds": {"route_config_name": name, "config_source": _file_source(routes_file(name))},
        "use_remote_address": True,
        "server_header_transformation": "PASS_THROUGH",
        "stream_idle_timeout": "0s",
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "http_filters": [
            {"name": "envoy.filters.http.router", "typed_config": {"@type": f"type.googleapis.com/{_ROUTER}"}}
        ],
        "access_log": [_log_of_failures()],
    }
    filters = [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]
    return {
        "name": name,
        "address": _address(address, port),
        "filter_chains": [{"filters": filters}],
    }


def _log_of_failures() -> Json:
    """One line for each answer of 500 and above: who failed, Envoy (response flags) or the service."""
    line = (
        "%START_TIME% %REQ(:AUTHORITY)% %REQ(:METHOD)% %REQ(:PATH)% %RESPONSE_CODE% flags=%RESPONSE_FLAGS% "
        "details=%RESPONSE_CODE_DETAILS% failure=%UPSTREAM_TRANSPORT_FAILURE_REASON% upstream=%UPSTREAM_HOST% "
        "cluster=%UPSTREAM_CLUSTER% ms=%DURATION%\n"
    )
    return {
        "name": "failures",
        "filter": {
            "status_code_filter": {
                "comparison": {"op": "GE", "value": {"default_value": 500, "runtime_key": "failures.from"}}
            }
        },
        "typed_config": {
            "@type": f"type.googleapis.com/{_FILE_LOG}",
            "path": str(settings.logs_root() / "envoy-failures.log"),
            "log_format": {"text_format_source": {"inline_string": line}},
        },
    }


def routes_file(listener: str) -> Path:
    """The file with a listener's routes."""
    return configuration_folder() / f"routes-{listener}.json"


def clusters_file() -> Path:
    """The file with the clusters."""
    return configuration_folder() / "clusters.json"


def endpoints_file(cluster: str) -> Path:
    """The file with a cluster's endpoints."""
    return configuration_folder() / "endpoints" / f"{cluster}.json"


def version_of(resources: Sequence[Json]) -> str:
    """The version of resources, a hash of them."""
    return hashlib.sha256(json.dumps(resources, sort_keys=True).encode()).hexdigest()[:16]


def write_resources(file: Path, resources: Sequence[Json]) -> None:
    """Replace a file at once, which is what Envoy notices."""
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_name(f".{file.name}.new")
    new.write_text(json.dumps({"version_info": version_of(resources), "resources": resources}))
    os.replace(new, file)


class Admin:
    """What Envoy says about the configuration it serves."""

    def __init__(self) -> None:
        self._client = httpx.Client(base_url=f"http://127.0.0.1:{settings.ENVOY_ADMIN_PORT}", timeout=5)

    def wait_for(self, statistic: str, version: str, patience_seconds: float = 20) -> None:
        """Wait until a subscription has this version and no cluster still warms; TimeoutError when it does not."""
        deadline = time.monotonic() + patience_seconds
        pause = 0.002
        while not self._serves(statistic, version):
            if time.monotonic() > deadline:
                raise TimeoutError(f"Envoy does not take version {version} of {statistic}")
            time.sleep(pause)
            pause = min(pause * 2, 0.1)

    def _serves(self, statistic: str, version: str) -> bool:
        try:
            text = self._client.get("/stats", params={"filter": "version_text|warming_clusters"}).text
        except httpx.TransportError:
            return False
        versions = dict(_VERSION.findall(text))
        return versions.get(statistic) == version and "cluster_manager.warming_clusters: 0" in text
