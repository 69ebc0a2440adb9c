"""Which service and revision a request gets: tables of cases."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haizen_cli.run.routing import Match, RouteTable, ServiceKey, Share, choose

IRIS, DIGITS, TEAM = ServiceKey("default", "iris"), ServiceKey("default", "digits"), ServiceKey("team", "digits")
TAGGED = ServiceKey("default", "latest-iris")


@pytest.mark.parametrize(
    ("services", "host", "path", "wanted"),
    [
        pytest.param([IRIS], "127.0.0.1:8080", "/v1/models", Match(IRIS, "/v1/models"), id="the only one"),
        pytest.param([IRIS], "[::1]:8080", "/", Match(IRIS, "/"), id="IPv6"),
        pytest.param([IRIS, DIGITS], "127.0.0.1", "/v2", None, id="which of two?"),
        pytest.param([], "127.0.0.1", "/v2", None, id="none"),
        pytest.param([IRIS, DIGITS], "iris.default.localhost:8080", "/v2", Match(IRIS, "/v2"), id="host"),
        pytest.param([IRIS, DIGITS], "IRIS.default.LOCALHOST", "/v2", Match(IRIS, "/v2"), id="host in capitals"),
        pytest.param([IRIS, TEAM], "digits-predictor.team.example.com", "/", Match(TEAM, "/"), id="Knative's host"),
        pytest.param([IRIS, TEAM], "digits-predictor.team.svc.cluster.local", "/", Match(TEAM, "/"), id="cluster host"),
        pytest.param([IRIS], "latest-iris-predictor.default.x.io", "/", Match(IRIS, "/", "latest"), id="tag latest"),
        pytest.param([IRIS], "prev-iris-predictor.default.x.io", "/", Match(IRIS, "/", "prev"), id="tag prev"),
        pytest.param([IRIS, TAGGED], "latest-iris.default.x.io", "/", Match(TAGGED, "/"), id="a name like a tag"),
        pytest.param([IRIS], "other.default.localhost", "/", None, id="an unknown service's host"),
        pytest.param([IRIS], "iris.team.localhost", "/", None, id="another namespace"),
        pytest.param([IRIS], "my.machine.lan", "/", Match(IRIS, "/"), id="the machine's own name"),
        pytest.param([IRIS, DIGITS], "h", "/serving/default/iris/v2/x", Match(IRIS, "/v2/x"), id="path with a rest"),
        pytest.param([IRIS, DIGITS], "h", "/serving/default/iris", Match(IRIS, "/"), id="path without a rest"),
        pytest.param([IRIS, DIGITS], "h", "/serving/default/no/v2", None, id="path of nobody"),
        pytest.param([IRIS, DIGITS], "h", "/serving", None, id="a path too short"),
        pytest.param(
            [IRIS, DIGITS], "h", "/v1/models/iris:predict", Match(IRIS, "/v1/models/iris:predict"), id="model, v1"
        ),
        pytest.param(
            [IRIS, DIGITS], "h", "/v2/models/iris/infer", Match(IRIS, "/v2/models/iris/infer"), id="model, v2"
        ),
        pytest.param([DIGITS, TEAM], "h", "/v2/models/digits/infer", None, id="a model's name in two namespaces"),
    ],
)
def test_resolve(services: list[ServiceKey], host: str, path: str, wanted: Match | None) -> None:
    assert RouteTable.of(services).resolve(host, path) == wanted


@given(st.text(), st.text())
def test_no_host_and_no_path_is_an_error(host: str, path: str) -> None:
    table = RouteTable.of([IRIS, DIGITS])
    match = table.resolve(host, "/" + path)
    assert match is None or match.service in table.services


@pytest.mark.parametrize(
    ("shares", "draw", "wanted"),
    [
        pytest.param([Share("a", 10), Share("b", 90)], 0.0, "a", id="low"),
        pytest.param([Share("a", 10), Share("b", 90)], 0.0999, "a", id="just below"),
        pytest.param([Share("a", 10), Share("b", 90)], 0.1, "b", id="the border"),
        pytest.param([Share("a", 0), Share("b", 100)], 0.0, "b", id="a dark one"),
        pytest.param([Share("a", 100), Share("b", 0)], 0.9999, "a", id="everything"),
        pytest.param([Share("a", 0)], 0.5, None, id="nobody"),
        pytest.param([], 0.5, None, id="nothing"),
    ],
)
def test_choose(shares: list[Share], draw: float, wanted: str | None) -> None:
    assert choose(shares, draw) == wanted
