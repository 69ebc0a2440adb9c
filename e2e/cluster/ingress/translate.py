"""Turns Knative Ingress objects, Services and EndpointSlices into routes, clusters and endpoints of Envoy. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Object = Mapping[str, Any]
Json = dict[str, Any]
Key = tuple[str, str]  # namespace, name

_CLUSTER_LOCAL = "ClusterLocal"
_HTTP2_NAMES = ("http2", "h2c")
_HTTP2_APP_PROTOCOLS = ("kubernetes.io/h2c", "h2c", "grpc")
_UNLIMITED = 1_000_000_000


@dataclass(frozen=True)
class World:
    """What the API server holds: Ingress objects, Services by key, EndpointSlices by the key of their Service."""

    ingresses: Sequence[Object] = ()
    services: Mapping[Key, Object] = field(default_factory=dict)
    slices: Mapping[Key, Sequence[Object]] = field(default_factory=dict)


@dataclass(frozen=True, order=True)
class Backend:
    """A port of a Service, as a split names it: by number or by name."""

    namespace: str
    service: str
    port: str

    @property
    def cluster(self) -> str:
        """The name of its cluster; also fit for a file's name."""
        return f"{self.namespace}.{self.service}.{self.port}"


@dataclass(frozen=True)
class Programmed:
    """The virtual hosts of one Ingress at one generation, and the backends they need."""

    generation: int
    external: tuple[Json, ...]
    local: tuple[Json, ...]
    backends: frozenset[Backend]


@dataclass(frozen=True)
class Held:
    """An Ingress that cannot be served as it stands, and why; what was programmed before stays."""

    message: str


def program(ingress: Object, world: World) -> Programmed | Held:
    """Translate one Ingress; it is held while a backend is missing or has no address that is ready."""
    backends = frozenset(backends_of(ingress))
    for backend in sorted(backends):
        port = _service_port(backend, world)
        if port is None:
            return Held(f"waiting for Service {backend.namespace}/{backend.service} with port {backend.port}")
        if not addresses(backend, world):
            return Held(f"waiting for a ready endpoint of Service {backend.namespace}/{backend.service}")
    external: list[Json] = []
    local: list[Json] = []
    metadata = ingress["metadata"]
    for number, rule in enumerate(ingress["spec"].get("rules", ())):
        host = {
            "name": f"{metadata['namespace']}/{metadata['name']}/{number}",
            "domains": list(rule.get("hosts", ())),
            "routes": _routes(rule.get("http", {}).get("paths", ())),
        }
        local.append(host)  # public names are answered inside the cluster too
        if rule.get("visibility") != _CLUSTER_LOCAL:
            external.append(host)
    return Programmed(metadata["generation"], tuple(external), tuple(local), backends)


def backends_of(ingress: Object) -> Iterable[Backend]:
    """Every backend an Ingress sends requests to."""
    for rule in ingress["spec"].get("rules", ()):
        for path in rule.get("http", {}).get("paths", ()):
            for split in path["splits"]:
                yield _backend(split)


def addresses(backend: Backend, world: World) -> list[tuple[str, int]]:
    """The ready addresses of a backend, sorted; they move between the activator and the pods as a revision scales."""
    port = _service_port(backend, world)
    if port is None:
        return []
    found: set[tuple[str, int]] = set()
    for endpoint_slice in world.slices.get((backend.namespace, backend.service), ()):
        for slice_port in endpoint_slice.get("ports") or ():
            if (slice_port.get("name") or "") != (port.get("name") or ""):
                continue
            for endpoint in endpoint_slice.get("endpoints") or ():
                # The API's rule: a condition that is not there means ready.
                if (endpoint.get("conditions") or {}).get("ready") is not False:
                    found.update((address, slice_port["port"]) for address in endpoint["addresses"])
    return sorted(found)


def assignment(backend: Backend, world: World) -> Json:
    """The endpoints of a backend as Envoy reads them."""
    return {
        "@type": "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
        "cluster_name": backend.cluster,
        "endpoints": [
            {
                "lb_endpoints": [
                    {"endpoint": {"address": {"socket_address": {"address": address, "port_value": port}}}}
                    for address, port in addresses(backend, world)
                ]
            }
        ],
    }


def cluster(backend: Backend, world: World, endpoints_file: str) -> Json:
    """The cluster of a backend; its endpoints come from a file of their own, so that they change without it."""
    thresholds = dict.fromkeys(("max_connections", "max_pending_requests", "max_requests"), _UNLIMITED)
    made: Json = {
        "@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster",
        "name": backend.cluster,
        "type": "EDS",
        "eds_cluster_config": {
            "eds_config": {"resource_api_version": "V3", "path_config_source": {"path": endpoints_file}}
        },
        "connect_timeout": "10s",
        "circuit_breakers": {"thresholds": [thresholds]},
    }
    port = _service_port(backend, world)
    if port is not None and _speaks_http2(port):
        made["typed_extension_protocol_options"] = {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {"http2_protocol_options": {"allow_connect": True}},
            }
        }
    return made


def route_configuration(name: str, hosts: Iterable[Json]) -> Json:
    """The routes of one listener; of two hosts with the same domain the first wins, or Envoy would refuse them all."""
    taken: set[str] = set()
    kept = []
    for host in hosts:
        domains = [domain for domain in host["domains"] if domain not in taken]
        taken.update(domains)
        if domains:
            kept.append({**host, "domains": domains})
    return {
        "@type": "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
        "name": name,
        "ignore_port_in_host_matching": True,
        "virtual_hosts": kept,
    }


def _routes(paths: Iterable[Object]) -> list[Json]:
    """Envoy takes the first route that matches: longer paths first, then those that ask for more headers."""
    ordered = sorted(paths, key=lambda path: (-len(path.get("path") or "/"), -len(path.get("headers") or ())))
    return [_route(path) for path in ordered]


def _route(path: Object) -> Json:
    match: Json = {"prefix": path.get("path") or "/"}
    if path.get("headers"):
        match["headers"] = [
            {"name": name, "string_match": {"exact": wanted["exact"]}} for name, wanted in path["headers"].items()
        ]
    splits = path["splits"]
    action: Json = {
        "weighted_clusters": {
            "clusters": [
                {
                    "name": _backend(split).cluster,
                    # Knative's rule: a split alone needs no percent.
                    "weight": split.get("percent", 0) if len(splits) > 1 else 100,
                    "request_headers_to_add": _headers(split.get("appendHeaders")),
                }
                for split in splits
            ]
        },
        "timeout": "0s",  # none: a long request is ended by the revision's own timeout
        "idle_timeout": "0s",
    }
    if path.get("rewriteHost"):
        action["host_rewrite_literal"] = path["rewriteHost"]
    return {"match": match, "route": action, "request_headers_to_add": _headers(path.get("appendHeaders"))}


def _headers(wanted: Mapping[str, str] | None) -> list[Json]:
    return [
        {"header": {"key": name, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
        for name, value in sorted((wanted or {}).items())
    ]


def _backend(split: Object) -> Backend:
    return Backend(split["serviceNamespace"], split["serviceName"], str(split["servicePort"]))


def _service_port(backend: Backend, world: World) -> Object | None:
    service = world.services.get((backend.namespace, backend.service))
    for port in (service or {}).get("spec", {}).get("ports") or ():
        if backend.port in (str(port["port"]), port.get("name")):
            found: Object = port
            return found
    return None


def _speaks_http2(port: Object) -> bool:
    name = port.get("name") or ""
    return name in _HTTP2_NAMES or name.startswith("http2-") or port.get("appProtocol") in _HTTP2_APP_PROTOCOLS
