"""How many requests of one stream run beside each other, and how many streams a connection may have."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.runtime.doors.grpc.conftest import PB, SERVICE, Client, target_of

CODE = """
import asyncio

class Code:
    now = most = 0

    async def predict(self, inputs):
        (x,) = inputs.values()
        self.now += 1
        self.most = max(self.most, self.now)
        while self.most < x[0]:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.3)
        self.now -= 1
        return {"seen": [self.most]}
"""
"""A model that says how many requests it had under way at most, and has so many as are asked for before it answers."""
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = b"\0\0\0\x04\0\0\0\0\0"
PING = b"\0\0\x08\x06\0\0\0\0\0" + bytes(8)
"""Its answer comes after all that the server says by itself."""
MAX_CONCURRENT_STREAMS = 3


@pytest.mark.parametrize("most", [1, 3])
def test_requests_of_one_stream_under_way(tmp_path: Path, start_runtime: Callable[..., Any], most: int) -> None:
    (tmp_path / "model.py").write_text(CODE)
    runtime = start_runtime(
        "--model_name=code", f"--model_dir={tmp_path}", "--allow_code", f"--max_stream_requests={most}"
    )
    runtime.wait_ready()
    client = Client(target_of(runtime))
    method = client.channel.stream_stream(
        SERVICE + "ModelStreamInfer", PB.ModelInferRequest.SerializeToString, PB.ModelStreamInferResponse.FromString
    )
    message = PB.ModelInferRequest(model_name="code")
    message.inputs.add(name="x", datatype="INT32", shape=[1]).contents.int_contents.append(most)
    answers = list(method(iter([message] * 6), timeout=60))
    client.channel.close()
    assert len(answers) == 6
    assert max(answer.infer_response.outputs[0].contents.int64_contents[0] for answer in answers) == most


@pytest.mark.parametrize(
    ("arguments", "streams"),
    [
        pytest.param([], 128, id="as-shipped"),
        pytest.param(["--max_connection_streams=7"], 7, id="one-process"),
        pytest.param(["--processes=2"], 32, id="two-processes"),
        pytest.param(["--processes=2", "--max_connection_streams=7"], 7, id="two-processes-and-the-setting"),
    ],
)
def test_streams_of_one_connection(
    iris_dir: Path, start_runtime: Callable[..., Any], arguments: list[str], streams: int
) -> None:
    runtime = start_runtime("--model_name=iris", f"--model_dir={iris_dir}", "--allow_code", *arguments)
    runtime.wait_ready()
    host, port = target_of(runtime).split(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall(PREFACE + SETTINGS + PING)
        assert told(connection.makefile("rb")) == streams


def told(answers: Any) -> int:
    """The last MAX_CONCURRENT_STREAMS in the server's SETTINGS before it answers a PING."""
    streams = 0
    while True:
        head = answers.read(9)
        length, kind = int.from_bytes(head[:3]), head[3]
        payload = answers.read(length)
        if kind == 6:
            return streams
        if kind == 4:
            found = dict(struct.unpack_from(">HI", payload, at) for at in range(0, length, 6))
            streams = found.get(MAX_CONCURRENT_STREAMS, streams)
