from collections.abc import Sequence
from typing import Any

import pytest

from e2e.cluster.ingress.translate import (
    Backend,
    Held,
    Programmed,
    World,
    addresses,
    assignment,
    backends_of,
    cluster,
    program,
    route_configuration,
)

Json = dict[str, Any]
ONE = Backend("shop", "iris-00001", "80")
TWO = Backend("shop", "iris-00002", "80")


def split(backend: Backend, percent: int | None = None, **more: Any) -> Json:
    made: Json = {
        "serviceNamespace": backend.namespace,
        "serviceName": backend.service,
        "servicePort": int(backend.port) if backend.port.isdigit() else backend.port,
        **more,
    }
    return made if percent is None else {**made, "percent": percent}


def path(*splits: Json, **more: Any) -> Json:
    return {"splits": list(splits), **more}


def ingress(*paths: Json, visibility: str = "ExternalIP", hosts: Sequence[str] = ("iris.example.com",)) -> Json:
    return {
        "metadata": {"namespace": "shop", "name": "iris", "generation": 3},
        "spec": {"rules": [{"hosts": list(hosts), "visibility": visibility, "http": {"paths": list(paths)}}]},
    }


def service(port: int = 80, name: str = "http", **more: Any) -> Json:
    return {"spec": {"ports": [{"port": port, "name": name, **more}]}}


def endpoint_slice(*ready: tuple[str, bool | None], port: int = 8012, name: str = "http") -> Json:
    endpoints = [
        {"addresses": [address], "conditions": {} if state is None else {"ready": state}} for address, state in ready
    ]
    return {"ports": [{"name": name, "port": port}], "endpoints": endpoints}


def world(*backends: Backend) -> World:
    return World(
        services={(b.namespace, b.service): service() for b in backends},
        slices={(b.namespace, b.service): [endpoint_slice(("10.244.0.9", True))] for b in backends},
    )


def programmed(made: Json, *backends: Backend) -> Programmed:
    result = program(made, world(*backends))
    assert isinstance(result, Programmed)
    return result


def first_route(made: Json, *backends: Backend) -> Json:
    route: Json = programmed(made, *backends).local[0]["routes"][0]
    return route


@pytest.mark.parametrize(
    ("splits", "weights"),
    [
        pytest.param([split(ONE)], {ONE.cluster: 100}, id="a split alone needs no percent"),
        pytest.param([split(ONE, 100)], {ONE.cluster: 100}, id="all"),
        pytest.param([split(ONE, 90), split(TWO, 10)], {ONE.cluster: 90, TWO.cluster: 10}, id="a canary"),
        pytest.param([split(ONE, 100), split(TWO, 0)], {ONE.cluster: 100, TWO.cluster: 0}, id="nothing for the second"),
    ],
)
def test_percents_become_weights(splits: list[Json], weights: dict[str, int]) -> None:
    clusters = first_route(ingress(path(*splits)), ONE, TWO)["route"]["weighted_clusters"]["clusters"]
    assert {one["name"]: one["weight"] for one in clusters} == weights


def test_headers_of_a_split_are_set_on_its_requests() -> None:
    made = ingress(path(split(ONE, 100, appendHeaders={"Knative-Serving-Revision": "iris-00001"})))
    clusters = first_route(made, ONE)["route"]["weighted_clusters"]["clusters"]
    assert clusters[0]["request_headers_to_add"] == [
        {
            "header": {"key": "Knative-Serving-Revision", "value": "iris-00001"},
            "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
        }
    ]


def test_headers_of_a_path_are_set_on_all_its_requests() -> None:
    route = first_route(ingress(path(split(ONE), appendHeaders={"x-b": "2", "x-a": "1"})), ONE)
    assert [added["header"]["key"] for added in route["request_headers_to_add"]] == ["x-a", "x-b"]


def test_no_route_has_a_deadline_or_a_retry() -> None:
    route = first_route(ingress(path(split(ONE))), ONE)["route"]
    assert (route["timeout"], route["idle_timeout"]) == ("0s", "0s")
    assert "retry_policy" not in route


def test_the_host_is_rewritten_only_where_asked() -> None:
    assert first_route(ingress(path(split(ONE), rewriteHost="a.b")), ONE)["route"]["host_rewrite_literal"] == "a.b"
    assert "host_rewrite_literal" not in first_route(ingress(path(split(ONE))), ONE)["route"]


def test_a_route_for_a_tag_header_comes_before_the_one_without() -> None:
    tagged = path(split(TWO), headers={"Knative-Serving-Tag": {"exact": "new"}})
    routes = programmed(ingress(path(split(ONE)), tagged), ONE, TWO).local[0]["routes"]
    assert [route["match"] for route in routes] == [
        {"prefix": "/", "headers": [{"name": "Knative-Serving-Tag", "string_match": {"exact": "new"}}]},
        {"prefix": "/"},
    ]


def test_longer_paths_come_first() -> None:
    routes = programmed(ingress(path(split(ONE)), path(split(TWO), path="/v2")), ONE, TWO).local[0]["routes"]
    assert [route["match"]["prefix"] for route in routes] == ["/v2", "/"]


@pytest.mark.parametrize(
    ("visibility", "external"),
    [("ExternalIP", ["iris.example.com"]), ("ClusterLocal", [])],
)
def test_only_public_hosts_are_on_the_external_listener(visibility: str, external: list[str]) -> None:
    result = programmed(ingress(path(split(ONE)), visibility=visibility), ONE)
    assert [domain for host in result.external for domain in host["domains"]] == external
    assert [domain for host in result.local for domain in host["domains"]] == ["iris.example.com"]


@pytest.mark.parametrize(
    ("there", "said"),
    [
        pytest.param(World(), "waiting for Service shop/iris-00001 with port 80", id="no Service"),
        pytest.param(
            World(services={("shop", "iris-00001"): service(port=443)}),
            "waiting for Service shop/iris-00001 with port 80",
            id="another port",
        ),
        pytest.param(
            World(services={("shop", "iris-00001"): service()}),
            "waiting for a ready endpoint of Service shop/iris-00001",
            id="no slice",
        ),
        pytest.param(
            World(
                services={("shop", "iris-00001"): service()},
                slices={("shop", "iris-00001"): [endpoint_slice(("10.244.0.9", False))]},
            ),
            "waiting for a ready endpoint of Service shop/iris-00001",
            id="not ready",
        ),
    ],
)
def test_an_ingress_without_backends_is_held(there: World, said: str) -> None:
    assert program(ingress(path(split(ONE))), there) == Held(said)


@pytest.mark.parametrize(
    ("slices", "expected"),
    [
        pytest.param([endpoint_slice(("10.0.0.2", True), ("10.0.0.1", True))], ["10.0.0.1", "10.0.0.2"], id="sorted"),
        pytest.param([endpoint_slice(("10.0.0.1", None))], ["10.0.0.1"], id="no condition means ready"),
        pytest.param([endpoint_slice(("10.0.0.1", True), ("10.0.0.2", False))], ["10.0.0.1"], id="ready ones only"),
        pytest.param(
            [endpoint_slice(("10.0.0.1", True)), endpoint_slice(("10.0.0.2", True))],
            ["10.0.0.1", "10.0.0.2"],
            id="of every slice",
        ),
        pytest.param([endpoint_slice(("10.0.0.1", True), name="metrics")], [], id="of the port's name only"),
        pytest.param([{"ports": None, "endpoints": None}], [], id="an empty slice"),
    ],
)
def test_addresses(slices: list[Json], expected: list[str]) -> None:
    key = ("shop", "iris-00001")
    found = addresses(ONE, World(services={key: service()}, slices={key: slices}))
    assert found == [(address, 8012) for address in expected]


def test_a_port_can_be_named() -> None:
    backend = Backend("shop", "iris-00001", "http")
    assert programmed(ingress(path(split(backend))), backend).backends == {backend}


def test_an_assignment_names_its_cluster_and_every_address() -> None:
    made = assignment(ONE, world(ONE))
    assert made["cluster_name"] == ONE.cluster
    assert [one["endpoint"]["address"] for one in made["endpoints"][0]["lb_endpoints"]] == [
        {"socket_address": {"address": "10.244.0.9", "port_value": 8012}}
    ]


@pytest.mark.parametrize(
    ("port", "http2"),
    [
        pytest.param({"name": "http"}, False, id="http"),
        pytest.param({"name": "http2"}, True, id="http2"),
        pytest.param({"name": "h2c"}, True, id="h2c"),
        pytest.param({"name": "web", "appProtocol": "kubernetes.io/h2c"}, True, id="by appProtocol"),
    ],
)
def test_the_protocol_follows_the_port(port: dict[str, str], http2: bool) -> None:
    there = World(services={("shop", "iris-00001"): service(**port)})
    assert ("typed_extension_protocol_options" in cluster(ONE, there, "/endpoints")) is http2


def test_of_two_hosts_with_one_domain_the_first_wins() -> None:
    hosts = [
        {"name": "old", "domains": ["a", "b"], "routes": []},
        {"name": "new", "domains": ["b", "c"], "routes": []},
        {"name": "none left", "domains": ["a"], "routes": []},
    ]
    made = route_configuration("local", hosts)["virtual_hosts"]
    assert [(host["name"], host["domains"]) for host in made] == [("old", ["a", "b"]), ("new", ["c"])]


def test_every_backend_is_found() -> None:
    assert set(backends_of(ingress(path(split(ONE, 50), split(TWO, 50)), path(split(ONE), path="/v2")))) == {ONE, TWO}
