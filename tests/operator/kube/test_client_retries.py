"""The API client against a small HTTP server that answers what a table says."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from haizen_operator.backoff import Backoff
from haizen_operator.kinds import KNATIVE_SERVICE, LEASE
from haizen_operator.kube.client import KubeClient
from haizen_operator.kube.connection import ClusterConfiguration
from haizen_operator.kube.errors import ApiError, Conflict, Forbidden, NotFound, Rejected, Unauthorized, Unavailable

Answer = tuple[int, dict[str, str], Any]
MANIFEST = {"apiVersion": "serving.knative.dev/v1", "kind": "Service", "metadata": {"name": "x", "namespace": "n"}}


@asynccontextmanager
async def client_of(*answers: Answer, **options: Any) -> AsyncIterator[tuple[KubeClient, list[web.Request]]]:
    """A client of a server that gives these answers in turn, the last one for ever."""
    seen: list[web.Request] = []

    async def handle(request: web.Request) -> web.Response:
        status, headers, body = answers[min(len(seen), len(answers) - 1)]
        await request.read()
        seen.append(request)
        text = body if isinstance(body, str) else json.dumps(body)
        return web.Response(status=status, headers=headers, text=text)

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(application, shutdown_timeout=1.0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()

    async def configure() -> ClusterConfiguration:
        configuration = ClusterConfiguration()
        configuration.host = f"http://127.0.0.1:{runner.addresses[0][1]}"
        configuration.api_key["BearerToken"] = "Bearer secret"
        return configuration

    client = KubeClient(configure, backoff=Backoff(base_seconds=0.01, max_seconds=0.02), **options)
    try:
        yield client, seen
    finally:
        await client.close()
        await runner.cleanup()


def refusal(message: str) -> dict[str, Any]:
    return {"kind": "Status", "status": "Failure", "message": message}


@pytest.mark.parametrize(
    ("answer", "error", "tries"),
    [
        ((404, {}, refusal("gone")), NotFound, 1),
        ((409, {}, refusal("changed")), Conflict, 1),
        ((422, {}, refusal("bad value")), Rejected, 1),
        ((400, {}, refusal('admission webhook "x" denied the request: no')), Rejected, 1),
        ((403, {}, refusal('admission webhook "x" denied the request: no')), Rejected, 1),
        ((403, {}, refusal('services is forbidden: User "x" cannot patch')), Forbidden, 1),
        ((401, {}, refusal("who are you")), Unauthorized, 3),
        ((500, {}, refusal("broken")), Unavailable, 3),
        ((503, {}, "<html>overloaded</html>"), Unavailable, 3),
        ((429, {}, refusal("slowly")), Unavailable, 3),
        ((418, {}, refusal("teapot")), ApiError, 1),
    ],
    ids=["404", "409", "422", "400 webhook", "403 webhook", "403 RBAC", "401", "500", "503 HTML", "429", "other"],
)
async def test_errors_are_typed_and_only_the_passing_ones_are_tried_again(
    answer: Answer, error: type[ApiError], tries: int
) -> None:
    async with client_of(answer, tries=3) as (client, seen):
        with pytest.raises(ApiError) as caught:
            await client.apply(KNATIVE_SERVICE, MANIFEST, manager="test")
        assert type(caught.value) is error
        assert caught.value.status == answer[0]
        assert len(seen) == tries
        assert isinstance(answer[2], str) or answer[2]["message"] in str(caught.value)


async def test_passing_failure_is_survived() -> None:
    async with client_of((503, {}, ""), (429, {"Retry-After": "0"}, ""), (200, {}, {"kind": "Service"})) as (
        client,
        seen,
    ):
        assert await client.apply(KNATIVE_SERVICE, MANIFEST, manager="test") == {"kind": "Service"}
        assert len(seen) == 3


async def test_retry_after_is_obeyed() -> None:
    import asyncio

    times: list[float] = []
    async with client_of((429, {"Retry-After": "1"}, ""), (200, {}, {})) as (client, seen):
        times.append(asyncio.get_running_loop().time())
        await client.get(KNATIVE_SERVICE, "x", "n")
        times.append(asyncio.get_running_loop().time())
    assert times[1] - times[0] >= 1.0
    assert len(seen) == 2


async def test_apply_says_who_applies_what_and_how() -> None:
    async with client_of((200, {}, {})) as (client, seen):
        await client.apply(KNATIVE_SERVICE, MANIFEST, manager="haizen", subresource="status")
    (request,) = seen
    assert (request.method, request.path) == ("PATCH", "/apis/serving.knative.dev/v1/namespaces/n/services/x/status")
    assert dict(request.query) == {"fieldManager": "haizen", "force": "true"}
    assert request.content_type == "application/apply-patch+yaml"
    assert request.headers["Authorization"] == "Bearer secret"


async def test_reading_what_is_not_there_gives_none_and_deleting_it_is_fine() -> None:
    async with client_of((404, {}, refusal("gone"))) as (client, _):
        assert await client.get(KNATIVE_SERVICE, "x", "n") is None
        await client.delete(KNATIVE_SERVICE, "x", "n", uid="1")


async def test_list_items_get_their_kind_back() -> None:
    async with client_of((200, {}, {"items": [{"metadata": {"name": "x"}}]})) as (client, seen):
        (found,) = await client.find(KNATIVE_SERVICE, "n", labels="a=b")
    assert (found["apiVersion"], found["kind"]) == ("serving.knative.dev/v1", "Service")
    assert seen[0].query["labelSelector"] == "a=b"


async def test_new_credentials_are_read_after_a_401() -> None:
    async with client_of((401, {}, ""), (200, {}, {"ok": True})) as (client, seen):
        assert await client.get(KNATIVE_SERVICE, "x", "n") == {"ok": True}
        assert len(seen) == 2


async def test_fence_stops_writes_and_not_reads() -> None:
    def closed() -> None:
        raise RuntimeError("not the leader")

    async with client_of((200, {}, {"ok": True}), fence=closed) as (client, seen):
        assert await client.get(LEASE, "x", "n") == {"ok": True}
        write: Callable[[], Awaitable[Any]] = lambda: client.apply(KNATIVE_SERVICE, MANIFEST, manager="test")  # noqa: E731
        with pytest.raises(RuntimeError, match="not the leader"):
            await write()
        assert len(seen) == 1


async def test_requests_are_counted_with_their_outcome() -> None:
    calls: list[tuple[str, str, int]] = []
    options = {"on_request": lambda verb, kind, status, seconds: calls.append((verb, kind.kind, status))}
    async with client_of((503, {}, ""), (200, {}, {}), **options) as (client, _):
        await client.apply(KNATIVE_SERVICE, MANIFEST, manager="test")
    assert calls == [("apply", "Service", 503), ("apply", "Service", 200)]


async def test_unreachable_server_is_unavailable() -> None:
    async def configure() -> ClusterConfiguration:
        configuration = ClusterConfiguration()
        configuration.host = "http://127.0.0.1:1"
        return configuration

    client = KubeClient(configure, tries=2, backoff=Backoff(base_seconds=0.01, max_seconds=0.01))
    with pytest.raises(Unavailable, match="no answer"):
        await client.get(KNATIVE_SERVICE, "x", "n")
    await client.close()
