"""gRPC through the local gateway: gRPC's own client on one side and its own server on the other."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
import pytest

from haizen_cli.run.gateway import Gateway
from haizen_cli.run.routing import ServiceKey, Share
from haizen_cli.run.server import LocalServer, listen
from haizen_cli.run.upstream import Upstream
from tests.cli.local_run import refusing_port

KEY = ServiceKey("default", "iris")
LARGE = 6_000_000


class Handlers(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpcio has no types
    """A service of all four kinds of calls; requests and answers are bytes as they are."""

    def __init__(self) -> None:
        self.cancelled = asyncio.Event()
        self.started = asyncio.Event()

    def service(self, handler_call_details: Any) -> Any:
        kinds = {
            "/test/Echo": grpc.unary_unary_rpc_method_handler(self.echo),
            "/test/Fail": grpc.unary_unary_rpc_method_handler(self.fail),
            "/test/Hang": grpc.unary_unary_rpc_method_handler(self.hang),
            "/test/Many": grpc.unary_stream_rpc_method_handler(self.many),
            "/test/Both": grpc.stream_stream_rpc_method_handler(self.both),
        }
        return kinds.get(handler_call_details.method)

    async def echo(self, request: bytes, context: Any) -> bytes:
        context.set_trailing_metadata([("x-end", "yes")])
        await context.send_initial_metadata([("haizen-revision", "a")])
        return request

    async def fail(self, request: bytes, context: Any) -> bytes:
        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "Ünwanted 100 %")
        return b""

    async def hang(self, request: bytes, context: Any) -> bytes:
        self.started.set()
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return b""

    async def many(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        for number in range(int(request)):
            yield b"%d" % number

    async def both(self, requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        async for request in requests:
            yield request


@asynccontextmanager
async def gateway_to_grpc() -> AsyncIterator[tuple[grpc.aio.Channel, Gateway, Upstream, Handlers]]:
    handlers = Handlers()
    options = [("grpc.max_receive_message_length", -1)]
    upstream_server = grpc.aio.server(options=options)
    upstream_server.add_generic_rpc_handlers([handlers])
    port = upstream_server.add_insecure_port("127.0.0.1:0")
    await upstream_server.start()
    gateway = Gateway(hold_seconds=0.2)
    upstream = Upstream("a", "127.0.0.1", port)
    gateway.backend(KEY).set_traffic([Share("a", 100)], {"a": upstream})
    local = LocalServer(gateway, listen("127.0.0.1", 0))
    await local.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{local.port}", options=options) as channel:
            yield channel, gateway, upstream, handlers
    finally:
        await local.stop()
        await asyncio.wait_for(upstream.drained(), 60)
        await upstream_server.stop(None)


@pytest.mark.parametrize("size", [0, 1, 70_000, LARGE])
async def test_a_call_goes_there_and_back_with_its_metadata(size: int) -> None:
    body = bytes(index % 251 for index in range(size))
    async with gateway_to_grpc() as (channel, _, upstream, _):
        for _ in range(3):  # the later ones on a connection that was used before
            call = channel.unary_unary("/test/Echo")(body, timeout=60)
            assert await call == body
            assert dict(await call.initial_metadata())["haizen-revision"] == "a"
            assert dict(await call.trailing_metadata())["x-end"] == "yes"
        assert upstream.in_flight == 0


async def test_a_failed_call_keeps_its_status_and_message() -> None:
    async with gateway_to_grpc() as (channel, _, _, _):
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await channel.unary_unary("/test/Fail")(b"", timeout=60)
        assert (failed.value.code(), failed.value.details()) == (
            grpc.StatusCode.INVALID_ARGUMENT,
            "Ünwanted 100 %",
        )
        with pytest.raises(grpc.aio.AioRpcError) as unknown:
            await channel.unary_unary("/test/Nothing")(b"", timeout=60)
        assert unknown.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_answers_stream() -> None:
    async with gateway_to_grpc() as (channel, _, _, _):
        answers = [answer async for answer in channel.unary_stream("/test/Many")(b"500", timeout=60)]
        assert answers == [b"%d" % number for number in range(500)]


async def test_both_sides_stream_in_turns() -> None:
    """Nothing is held back: each answer is read before the next request is written."""
    async with gateway_to_grpc() as (channel, _, _, _):
        call = channel.stream_stream("/test/Both")(timeout=60)
        for number in range(20):
            message = b"%d" % number * 10_000
            await call.write(message)
            assert await call.read() == message
        await call.done_writing()
        assert await call.read() is grpc.aio.EOF


async def test_a_cancelled_call_is_cancelled_at_the_runtime() -> None:
    async with gateway_to_grpc() as (channel, _, upstream, handlers):
        call = channel.unary_unary("/test/Hang")(b"", timeout=600)
        await asyncio.wait_for(handlers.started.wait(), 60)
        call.cancel()
        await asyncio.wait_for(handlers.cancelled.wait(), 60)
        await asyncio.wait_for(upstream.drained(), 60)


async def test_more_calls_than_a_connection_lives_for() -> None:
    """Both sides go on with new connections: 64 in flight, none fails."""
    async with gateway_to_grpc() as (channel, _, _, _):
        echo = channel.unary_unary("/test/Echo")

        async def ask(worker: int) -> int:
            for number in range(80):
                message = b"%d %d" % (worker, number)
                assert await echo(message, timeout=120) == message
            return 80

        assert sum(await asyncio.gather(*map(ask, range(64)))) == 5120


@pytest.fixture
def refusing() -> Iterator[int]:
    with refusing_port() as port:
        yield port


@pytest.mark.parametrize("cause", ["no process", "nobody listens"])
async def test_without_a_revision_the_call_is_unavailable(cause: str, refusing: int) -> None:
    async with gateway_to_grpc() as (channel, gateway, _, _):
        nobody = Upstream("b", "127.0.0.1", refusing)
        gateway.backend(KEY).set_traffic([Share("b", 100)], {"b": nobody} if cause == "nobody listens" else {})
        if cause == "nobody listens":
            asyncio.get_running_loop().call_later(0.3, gateway.backend(KEY).set_traffic, [Share("b", 100)], {})
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await channel.unary_unary("/test/Echo")(b"", timeout=60)
    assert failed.value.code() is grpc.StatusCode.UNAVAILABLE
    assert failed.value.details() == "no revision of default/iris is ready yet"


async def test_a_service_is_chosen_by_its_authority() -> None:
    async with gateway_to_grpc() as (channel, gateway, upstream, _):
        gateway.backend(ServiceKey("default", "other")).set_traffic([], {})
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await channel.unary_unary("/test/Echo")(b"", timeout=60)
        assert failed.value.code() is grpc.StatusCode.UNIMPLEMENTED
        assert "known hosts: iris.default.localhost, other.default.localhost" in (failed.value.details() or "")

        local = LocalServer(gateway, listen("127.0.0.1", 0))
        await local.start()
        named = [("grpc.default_authority", "iris.default.localhost")]
        async with grpc.aio.insecure_channel(f"127.0.0.1:{local.port}", options=named) as by_name:
            assert await by_name.unary_unary("/test/Echo")(b"iris", timeout=60) == b"iris"
        await local.stop()
        assert upstream.in_flight == 0
