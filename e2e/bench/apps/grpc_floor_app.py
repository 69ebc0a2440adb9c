"""The bare grpc.aio server: the same answers as the bare ASGI app's."""

import asyncio
import sys

import grpc
import grpc.aio

from e2e.bench.apps.floor_app import answer_to
from e2e.bench.messages import ModelInferRequest, ModelInferResponse
from e2e.grpc_client import SERVICE

LARGEST = [("grpc.max_receive_message_length", 2**26), ("grpc.max_send_message_length", 2**26)]


async def infer(request: object, context: object) -> object:
    """One ModelInfer."""
    return answer_to(request)


async def serve(port: int) -> None:
    """Serve until the process is ended."""
    server = grpc.aio.server(options=LARGEST)
    handler = grpc.unary_unary_rpc_method_handler(
        infer,
        request_deserializer=ModelInferRequest.FromString,
        response_serializer=ModelInferResponse.SerializeToString,
    )
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE[1:], {"ModelInfer": handler}),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
