"""One request on its way through the gateway to a revision's process, and its answer back."""

import asyncio
from collections.abc import Sequence
from typing import Any

import zttp

from haizen_cli.run.answers import Receive, Scope, Send, answer, is_grpc
from haizen_cli.run.upstream import Upstream, UpstreamConnection, UpstreamError
from haizen_runtime.doors.http.answer_headers import HOP_BY_HOP

GRPC_TRAILERS = (b"grpc-status", b"grpc-message", b"grpc-status-details-bin")
"""What ends a gRPC call. A call that fails at once has it in its only headers (gRPC's Trailers-Only)."""


async def exchange(
    upstream: Upstream, connection: UpstreamConnection, scope: Scope, target: bytes, receive: Receive, send: Send
) -> None:
    """Pass one request on and its response back."""
    under_way = _Exchange(connection, scope, receive, send)
    complete = False
    try:
        complete = await under_way.run(target)
    except UpstreamError as error:
        if under_way.response_started:
            raise  # the server closes the client's connection, which is how it learns that the body is cut short
        await answer(scope, send, 502, f"revision {upstream.revision}: {error}")
    finally:
        upstream.release(connection, complete=complete)


class _Exchange:
    """One request and its response on one upstream connection."""

    def __init__(self, connection: UpstreamConnection, scope: Scope, receive: Receive, send: Send) -> None:
        self._connection = connection
        self._scope = scope
        self._receive = receive
        self._send = send
        self._gone = False
        self._uploaded = False
        self._trailers: list[tuple[bytes, bytes]] | None = [] if is_grpc(scope) else None
        self.response_started = False

    async def run(self, target: bytes) -> bool:
        """Returns whether both the request and the response went through whole."""
        first = await self._receive()
        if first["type"] == "http.disconnect":
            return False
        body, more = first.get("body", b""), first.get("more_body", False)
        headers = _request_headers(self._scope["headers"], len(body), more)
        self._connection.start(self._scope["method"].encode("ascii"), target, headers, body, more)
        self._uploaded = not more
        client = asyncio.ensure_future(self._watch_client(more))
        try:
            await self._respond()
        except UpstreamError:
            if self._gone:
                return False
            raise
        finally:
            client.cancel()
        return self._uploaded

    async def _watch_client(self, more: bool) -> None:
        """Pass the rest of the body on, then wait for the client to go away: that ends the exchange upstream, too."""
        try:
            while more:
                message = await self._receive()
                if message["type"] == "http.disconnect":
                    break
                more = message.get("more_body", False)
                await self._connection.send_body(message.get("body", b""), more)
            else:
                self._uploaded = True
                await self._receive()  # returns when the client hangs up, or when the response is complete
        except UpstreamError:
            return  # the runtime hung up on the body; its answer, if there is one, says why
        self._gone = True
        self._connection.close()

    async def _respond(self) -> None:
        connection = self._connection
        while True:
            event = await connection.next_event()
            if isinstance(event, zttp.Response):
                if event.status_code >= 200:  # 100 Continue is the gateway's own business with each side
                    await self._start(event)
            elif isinstance(event, zttp.Data):
                following = connection.ready_event()
                last = isinstance(following, zttp.EndOfMessage)
                await self._body(event.data, last)
                while isinstance(following, zttp.Data):
                    await self._body(following.data, last=False)
                    following = connection.ready_event()
                if isinstance(following, zttp.EndOfMessage):
                    await self._end(following, body_ended=last)
                    return
            elif isinstance(event, zttp.EndOfMessage):
                await self._end(event, body_ended=False)
                return

    async def _start(self, response: Any) -> None:
        self.response_started = True
        headers = [(name.lower(), value) for name, value in response.headers]
        message = {"type": "http.response.start", "status": response.status_code}
        if self._trailers is not None:
            self._trailers = [pair for pair in headers if pair[0] in GRPC_TRAILERS]
            headers = [pair for pair in headers if pair[0] not in GRPC_TRAILERS]
            message["trailers"] = True
        message["headers"] = [pair for pair in headers if pair[0] not in HOP_BY_HOP]
        await self._send(message)

    async def _body(self, body: bytes, last: bool) -> None:
        await self._send({"type": "http.response.body", "body": body, "more_body": not last})

    async def _end(self, end: Any, *, body_ended: bool) -> None:
        if not body_ended:
            await self._body(b"", last=True)
        if self._trailers is not None:
            trailers = [*self._trailers, *((name.lower(), value) for name, value in end.trailers)]
            await self._send({"type": "http.response.trailers", "headers": trailers, "more_trailers": False})


def _request_headers(headers: Sequence[tuple[bytes, bytes]], length: int, more: bool) -> list[tuple[bytes, bytes]]:
    """Drop what is about the client's connection only, and frame a body whose length is not known as chunked."""
    kept = [pair for pair in headers if pair[0] not in HOP_BY_HOP and pair[0] != b"expect"]
    if any(name == b"content-length" for name, _ in kept):
        return kept
    if more:
        return [*kept, (b"transfer-encoding", b"chunked")]
    return [*kept, (b"content-length", str(length).encode("ascii"))] if length else kept
