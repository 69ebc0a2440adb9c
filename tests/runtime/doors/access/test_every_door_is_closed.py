"""Every HTTP path and every gRPC method there is, held against the written list of those that need no key."""

from __future__ import annotations

import grpc
import httpx
import pytest

from haizen_runtime.doors.http.app import HttpApp, HttpSettings
from haizen_runtime.doors.http.routing import FIXED, match
from haizen_runtime.engine.dataplane import DataPlane
from tests.runtime.conftest import RuntimeProcess
from tests.runtime.doors.access.conftest import ADMIN, INFERENCE, METRICS
from tests.runtime.doors.grpc.conftest import target_of

PUBLIC_PATHS = {"/", "/healthz", "/ping", "/v2/health/live", "/v2/health/ready", "/vertex/health"}
PUBLIC_METHODS = {
    "/inference.GRPCInferenceService/ServerLive",
    "/inference.GRPCInferenceService/ServerReady",
    "/grpc.health.v1.Health/Check",
    "/grpc.health.v1.Health/Watch",
}
PATTERNS = {
    "v1.predict": "/v1/models/iris:predict",
    "v1.explain": "/v1/models/iris:explain",
    "v1.model": "/v1/models/iris",
    "v1.metadata": "/v1/models/iris/metadata",
    "v2.infer": "/v2/models/iris/infer",
    "v2.generate": "/v2/models/iris/generate",
    "v2.generate_stream": "/v2/models/iris/generate_stream",
    "v2.model": "/v2/models/iris",
    "v2.model_stats": "/v2/models/iris/stats",
    "v2.config": "/v2/models/iris/config",
    "v2.model_ready": "/v2/models/iris/ready",
    "v2.load": "/v2/repository/models/iris/load",
    "v2.unload": "/v2/repository/models/iris/unload",
    "vertex.predict": "/vertex/predict",
}
"""A path for each endpoint whose path is not fixed. A new endpoint needs a line here."""
UNKNOWN = ("/v3", "/v2/models/rose/infer", "/v2/models/iris/infer/", "//v2/health/live", "/v2/health/live/", "/x\ny")


def the_app() -> HttpApp:
    return HttpApp(DataPlane(), HttpSettings(1000, 1, 1, health_route="/vertex/health"))


async def test_the_table_of_paths_has_every_endpoint() -> None:
    app = the_app()
    endpoints = {*app.endpoints, *app.inference}
    fixed = {each.endpoint for each in FIXED.values()}
    assert endpoints == fixed | set(PATTERNS)
    for endpoint, path in PATTERNS.items():
        found = match(path)
        assert (found.endpoint if found else "vertex.predict") == endpoint


@pytest.mark.parametrize("path", [*FIXED, *PATTERNS.values(), "/vertex/health", *UNKNOWN])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_without_a_key_only_public_paths_answer(guarded: RuntimeProcess, path: str, method: str) -> None:
    response = httpx.request(
        method, guarded.url + path.replace("\n", "%0A"), content=b"{}" if method == "POST" else b""
    )
    if path in PUBLIC_PATHS:
        assert response.status_code == (200 if method == "GET" else 405)
        return
    assert response.status_code == 401, response.text
    assert response.headers["www-authenticate"] == 'Bearer realm="haizen"'
    assert response.json() == {"error": "An API key is needed: send Authorization: Bearer KEY, or X-API-Key: KEY."}


async def test_every_grpc_method_is_closed(guarded: RuntimeProcess) -> None:
    app = the_app()
    unary = {*app.grpc.unary, *app.grpc.inference.unary}
    streaming = {*app.grpc.streaming, *app.grpc.inference.streaming}
    assert unary | streaming >= PUBLIC_METHODS
    channel = grpc.insecure_channel(target_of(guarded))
    codes = {}
    for path in (*unary, "/inference.GRPCInferenceService/Nothing"):
        try:
            channel.unary_unary(path)(b"", timeout=60)
            codes[path] = grpc.StatusCode.OK
        except grpc.RpcError as error:
            codes[path] = error.code()
    for path in streaming:
        try:
            next(channel.stream_stream(path)(iter([b""]), timeout=60))
            codes[path] = grpc.StatusCode.OK
        except grpc.RpcError as error:
            codes[path] = error.code()
    channel.close()
    assert {path for path, code in codes.items() if code is not grpc.StatusCode.UNAUTHENTICATED} == PUBLIC_METHODS
    assert {codes[path] for path in PUBLIC_METHODS} == {grpc.StatusCode.OK}


SCOPES = {
    "/metrics": {METRICS, ADMIN},
    "/v2/repository/models/iris/load": {ADMIN},
    "/v2/repository/models/rose/unload": {ADMIN},
}
"""What needs more than a key for inference."""


@pytest.mark.parametrize("key", [INFERENCE, METRICS, ADMIN])
@pytest.mark.parametrize("path", [*FIXED, *PATTERNS.values(), *SCOPES])
def test_keys_open_what_their_scope_says(guarded: RuntimeProcess, path: str, key: str) -> None:
    if path.endswith("iris/unload"):
        path = path.replace("iris", "rose")
    response = httpx.post(guarded.url + path, headers={"authorization": f"Bearer {key}"}, timeout=60)
    open_to = SCOPES.get(path, {INFERENCE, ADMIN})
    if path in PUBLIC_PATHS or key in open_to:
        assert response.status_code not in (401, 403), response.text
    else:
        assert response.status_code == 403
        assert "it needs the scope" in response.json()["error"]
