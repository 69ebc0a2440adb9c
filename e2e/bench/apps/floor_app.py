"""The bare ASGI app: no engine, no checks, no model. It reads a request, looks the answer up and sends it.

Iris is answered from a table of the right answers that it is given; an image is sent back as it came. gRPC's five bytes
of framing, and the messages through Google's own classes: this is what the server below costs, and nothing else.
"""

import json
import os
import struct
from pathlib import Path
from typing import Any

import orjson

from e2e.bench.messages import ModelInferRequest, ModelInferResponse

ANSWERS: dict[tuple[float, ...], int] = {
    tuple(row): answer for row, answer in json.loads(Path(os.environ["BENCH_ANSWERS"]).read_text())
}
BY_BYTES = {struct.pack("<4f", *row): struct.pack("<q", answer) for row, answer in ANSWERS.items()}
HEADER_LENGTH = b"inference-header-content-length"
TRAILERS = {"type": "http.response.trailers", "headers": [(b"grpc-status", b"0")], "more_trailers": False}
GRPC = {
    "type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/grpc")], "trailers": True,
}  # fmt: skip


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """ASGI: v2 JSON for iris, v2 with binary data for images, gRPC for both."""
    chunks = []
    while True:
        message = await receive()
        chunks.append(message.get("body", b""))
        if not message.get("more_body"):
            break
    body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
    headers = dict(scope["headers"])
    if headers.get(b"content-type", b"").startswith(b"application/grpc"):
        await send(GRPC)
        answer = call(body)
        await send({"type": "http.response.body", "body": answer, "more_body": False})
        await send(TRAILERS)
        return
    if HEADER_LENGTH in headers:
        extra, answer = image(body, int(headers[HEADER_LENGTH]))
    else:
        extra, answer = [(b"content-type", b"application/json")], iris(body)
    await send({
        "type": "http.response.start", "status": 200,
        "headers": [*extra, (b"content-length", b"%d" % len(answer))],
    })  # fmt: skip
    await send({"type": "http.response.body", "body": answer})


def iris(body: bytes) -> bytes:
    """Parse, look up, dump."""
    answer = ANSWERS[tuple(orjson.loads(body)["inputs"][0]["data"])]
    return orjson.dumps({
        "model_name": "iris", "outputs": [{"name": "output-0", "shape": [1], "datatype": "INT64", "data": [answer]}],
    })  # fmt: skip


def image(body: bytes, length: int) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """The same bytes behind a header of its own."""
    header = orjson.dumps({
        "model_name": "image",
        "outputs": [{
            "name": "output-0", "shape": [1, 3, 224, 224], "datatype": "FP32",
            "parameters": {"binary_data_size": len(body) - length},
        }],
    })  # fmt: skip
    extra = [(b"content-type", b"application/octet-stream"), (HEADER_LENGTH, b"%d" % len(header))]
    return extra, b"".join((header, memoryview(body)[length:]))


def call(body: bytes) -> bytes:
    """One ModelInfer."""
    message = answer_to(ModelInferRequest.FromString(body[5:])).SerializeToString()
    return b"".join((struct.pack(">BI", 0, len(message)), message))


def answer_to(request: Any) -> Any:
    """The response of either model."""
    response = ModelInferResponse(model_name=request.model_name)
    is_iris = request.model_name == "iris"
    contents = request.raw_input_contents[0]
    response.outputs.add(
        name="output-0", datatype="INT64" if is_iris else "FP32", shape=[1] if is_iris else [1, 3, 224, 224]
    )
    response.raw_output_contents.append(BY_BYTES[contents] if is_iris else contents)
    return response
