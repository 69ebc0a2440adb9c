"""The page that a browser sees at the root of the local gateway."""

import re

import pytest

from haizen_cli.run.gateway import Gateway
from haizen_cli.run.page import render, shown, wants_page
from haizen_cli.run.routing import ServiceKey, Share

KEY = ServiceKey("default", "iris")
GATEWAY = "http://127.0.0.1:8080"


@pytest.mark.parametrize(
    ("method", "path", "accept", "expected"),
    [
        pytest.param("GET", "/", b"text/html,application/xhtml+xml,*/*;q=0.8", True, id="a-browser"),
        pytest.param("GET", "/", b"*/*", False, id="curl-or-a-client-of-kserve"),
        pytest.param("GET", "/v2", b"text/html", False, id="another-path"),
        pytest.param("POST", "/", b"text/html", False, id="another-method"),
    ],
)
def test_who_gets_it(method: str, path: str, accept: bytes, expected: bool) -> None:
    assert wants_page(method, path, [(b"host", b"x"), (b"accept", accept)]) is expected


def test_shares_and_urls() -> None:
    shares = [Share("iris-predictor-00002", 10), Share("iris-predictor-00001", 90), Share("iris-predictor-00003", 0)]
    html = render([shown(KEY, shares, ["iris-predictor-00001"], gateway=GATEWAY, only_one=True)])
    assert re.findall(r"width: (\d+)%", html) == ["10", "90"]
    assert "not ready: iris-predictor-00002<" in html
    assert "iris-predictor-00003" not in html
    assert f"{GATEWAY}/serving/default/iris" in html
    assert 'href="/serving/default/iris/v2/models/iris"' in html


def test_nothing_to_show() -> None:
    assert "No service is running yet" in render([])


def test_names_are_escaped() -> None:
    html = render([shown(KEY, [Share("<script>", 100)], [], gateway='http://"><script>', only_one=True)])
    assert "<script>" not in html


async def test_the_gateway_answers_a_browser_without_a_revision() -> None:
    gateway, sent = Gateway(), []
    gateway.backend(KEY).set_traffic([Share("iris-predictor-00001", 100)], {})

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/",
        "raw_path": b"/",
        "query_string": b"",
        "headers": [(b"host", b"127.0.0.1:8080"), (b"accept", b"text/html")],
    }
    await gateway(scope, receive, send)  # type: ignore[arg-type]
    assert sent[0]["status"] == 200
    assert b"not ready: iris-predictor-00001" in sent[1]["body"]  # type: ignore[operator]
