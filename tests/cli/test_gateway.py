"""The local gateway between real sockets: bodies of every kind, shares, waiting, and what goes wrong."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from haizen_cli.run.gateway import Gateway
from haizen_cli.run.routing import ServiceKey, Share
from haizen_cli.run.server import LocalServer, listen
from haizen_cli.run.upstream import Upstream
from tests.cli.local_run import refusing_port

KEY = ServiceKey("default", "iris")
App = Callable[[Any, Any, Any], Awaitable[None]]


async def read_body(receive: Any) -> bytes:
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            return body


def backend(name: str) -> App:
    """Answers what it was asked, and who it is."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        body = await read_body(receive)
        headers = [
            (b"haizen-revision", name.encode()),
            (b"x-path", scope["raw_path"]),
            (b"x-query", scope["query_string"]),
        ]
        if scope["path"] == "/chunked":
            await send({"type": "http.response.start", "status": 201, "headers": headers})
            for start in range(0, len(body), 1000):
                await send({"type": "http.response.body", "body": body[start : start + 1000], "more_body": True})
            await send({"type": "http.response.body", "body": b""})
            return
        if scope["path"] == "/headers":
            body = json.dumps([[n.decode(), v.decode()] for n, v in scope["headers"]]).encode()
        headers.append((b"content-length", str(len(body)).encode()))
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    return app


@asynccontextmanager
async def serving(app: Any) -> AsyncIterator[int]:
    server = LocalServer(app, listen("127.0.0.1", 0))
    await server.start()
    try:
        yield server.port
    finally:
        await server.stop()


@asynccontextmanager
async def gateway_to(
    app: App, *, hold_seconds: float = 30.0
) -> AsyncIterator[tuple[httpx.AsyncClient, Gateway, Upstream]]:
    gateway = Gateway(hold_seconds=hold_seconds)
    async with serving(app) as port, serving(gateway) as gateway_port:
        upstream = Upstream("a", "127.0.0.1", port)
        gateway.backend(KEY).set_traffic([Share("a", 100)], {"a": upstream})
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{gateway_port}", timeout=30) as client:
            yield client, gateway, upstream
        await asyncio.wait_for(upstream.drained(), 60)


@pytest.mark.parametrize("path", ["/plain", "/chunked"])
@pytest.mark.parametrize("size", [0, 1, 64_000, 3_000_000])
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunks"])
async def test_bodies_go_both_ways(path: str, size: int, chunked: bool) -> None:
    body = bytes(i % 251 for i in range(size))

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, size, 10_000):
            yield body[start : start + 10_000]

    async with gateway_to(backend("a")) as (client, _, upstream):
        for _ in range(2):  # the second one on a connection that was used before
            response = await client.post(f"{path}?a=%20b", content=pieces() if chunked else body)
            assert response.content == body
            assert response.status_code == (201 if path == "/chunked" else 200)
            assert (response.headers["x-path"], response.headers["x-query"]) == (path, "a=%20b")
        assert upstream.in_flight == 0


async def test_it_adds_nothing_and_drops_what_is_about_one_connection() -> None:
    async with gateway_to(backend("a")) as (client, _, _):
        request = client.build_request(
            "GET", "/headers", headers={"X-Mine": "1", "Connection": "keep-alive", "TE": "x"}
        )
        expected = [[n.lower(), v] for n, v in request.headers.multi_items() if n.lower() not in {"connection", "te"}]
        response = await client.send(request)
        assert sorted(response.json()) == sorted(expected)
        assert set(response.headers) == {"haizen-revision", "x-path", "x-query", "content-length"}
        head = await client.head("/plain")
        assert (head.status_code, head.content) == (200, b"")


async def test_the_answer_streams_while_the_request_does() -> None:
    """Nothing is held back: the client reads the first piece before it sends the second one."""

    async def echo(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        more = True
        while more:
            message = await receive()
            more = message.get("more_body", False)
            await send({"type": "http.response.body", "body": message.get("body", b""), "more_body": more})

    async with gateway_to(echo) as (client, _, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", client.base_url.port)
        writer.write(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        assert b"first" in await asyncio.wait_for(reader.readuntil(b"first"), 30)
        writer.write(b"6\r\nsecond\r\n0\r\n\r\n")
        assert b"second" in await asyncio.wait_for(reader.readuntil(b"second"), 30)
        writer.close()


async def test_shares_and_tags() -> None:
    draws = iter([i / 100 for i in range(100)] * 2)
    gateway = Gateway(draw=lambda: next(draws))
    async with serving(backend("a")) as one, serving(backend("b")) as two, serving(gateway) as port:
        upstreams = {"a": Upstream("a", "127.0.0.1", one), "b": Upstream("b", "127.0.0.1", two)}
        gateway.backend(KEY).set_traffic([Share("a", 30), Share("b", 70)], upstreams, {"latest": "a", "prev": "b"})
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            counted = Counter([(await client.get("/")).headers["haizen-revision"] for _ in range(100)])
            tagged = [
                (await client.get("/", headers={"Host": f"{tag}-iris-predictor.default.localhost"})).headers[
                    "haizen-revision"
                ]
                for tag in ("latest", "prev")
            ]
    assert counted == {"a": 30, "b": 70}
    assert tagged == ["a", "b"]


async def test_requests_wait_for_a_revision_and_not_for_ever() -> None:
    gateway = Gateway(hold_seconds=0.2)
    async with serving(backend("a")) as one, serving(gateway) as port:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            assert (await client.get("/")).status_code == 404  # no service at all
            gateway.backend(KEY)
            refused = await client.get("/")
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
            assert "default/iris" in refused.json()["error"]
        gateway._hold_seconds = 30
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            waiting = asyncio.create_task(client.get("/"))
            with refusing_port() as nobody:
                gateway.backend(KEY).set_traffic([Share("a", 100)], {"a": Upstream("a", "127.0.0.1", nobody)})
                await asyncio.sleep(0.1)
            assert not waiting.done()
            gateway.backend(KEY).set_traffic([Share("a", 100)], {"a": Upstream("a", "127.0.0.1", one)})
            assert (await waiting).status_code == 200


async def test_a_runtime_that_hangs_up_is_a_502_in_json() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    gateway = Gateway()
    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with server, serving(gateway) as port:
        upstream = Upstream("a", "127.0.0.1", server.sockets[0].getsockname()[1])
        gateway.backend(KEY).set_traffic([Share("a", 100)], {"a": upstream})
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            response = await client.get("/")
    assert response.status_code == 502
    assert response.json()["error"].startswith("revision a: the runtime closed the connection")
    assert upstream.in_flight == 0


async def test_a_client_that_leaves_ends_the_request_upstream_and_a_drain_waits_for_the_rest() -> None:
    arrived, left, answer = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        await read_body(receive)
        arrived.set()
        if scope["path"] == "/leave":
            assert (await receive())["type"] == "http.disconnect"
            left.set()
            return
        await answer.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    async with gateway_to(slow) as (client, gateway, upstream):
        _, writer = await asyncio.open_connection("127.0.0.1", client.base_url.port)
        writer.write(b"GET /leave HTTP/1.1\r\nHost: h\r\n\r\n")
        await asyncio.wait_for(arrived.wait(), 30)
        writer.close()
        await asyncio.wait_for(left.wait(), 30)

        arrived.clear()
        asking = asyncio.create_task(client.get("/stay"))
        await asyncio.wait_for(arrived.wait(), 30)
        gateway.backend(KEY).set_traffic([], {})
        draining = asyncio.create_task(upstream.drained())
        await asyncio.sleep(0.1)
        assert not draining.done()
        answer.set()
        assert (await asking).text == "ok"
        await asyncio.wait_for(draining, 30)


async def test_h2c_clients_are_served() -> None:
    import zttp

    async with gateway_to(backend("a")) as (client, _, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", client.base_url.port)
        connection = zttp.Connection(zttp.CLIENT, zttp.HTTP2)
        connection.initiate_connection()
        stream = connection.send_request(b"POST", b"/plain", b"2", [(b"host", b"h")])
        stream.send_data(b"over h2c")
        stream.end_message()
        writer.write(connection.data_to_send())
        body = b""
        ended = False
        while not ended:
            connection.receive_data(await asyncio.wait_for(reader.read(65536), 30))
            while (event := connection.next_event()) is not zttp.NEED_DATA:
                if isinstance(event, zttp.Data):
                    body += event.data
                ended = ended or isinstance(event, zttp.EndOfMessage)
            writer.write(connection.data_to_send())
        writer.close()
    assert body == b"over h2c"


async def test_server_sent_events_pass_one_by_one_and_end_with_the_client() -> None:
    go_on, ended = asyncio.Queue[None](), asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await read_body(receive)
        headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        gone = asyncio.ensure_future(receive())
        number = 0
        while not gone.done():
            await send({"type": "http.response.body", "body": b"data: %d\n\n" % number, "more_body": True})
            number += 1
            waiting = asyncio.ensure_future(go_on.get())
            await asyncio.wait((waiting, gone), return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
        ended.set()

    async with gateway_to(app) as (client, _, upstream):
        async with client.stream("POST", "/v2/models/iris/generate_stream", json={}) as answer:
            assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
            lines = answer.aiter_lines()
            for number in range(5):  # the next event is made only once this one has come through
                assert await anext(lines) == f"data: {number}"
                assert await anext(lines) == ""
                go_on.put_nowait(None)
        async with asyncio.timeout(30):
            await ended.wait()
            while upstream.in_flight:
                await asyncio.sleep(0.01)
