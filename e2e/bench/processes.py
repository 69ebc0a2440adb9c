"""`python -m e2e.bench.processes`: a compute-bound model behind one process and behind two; the ratio of their speeds.

Each process computes on one thread and answers a row at a time. Both servers run all the time and are asked in turns
(A B A B) over gRPC, with several connections. Every answer is checked, and the client's own share of a core is shown.
"""

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from e2e.bench.onnx_cnn import MODEL, heavy_model, open_session, serving
from e2e.grpc_client import SERVICE, infer_request, raw_outputs

Array = np.ndarray[Any, Any]
BAR = 1.6
CLIENT_BAR = 0.05
"""The share of a core that the client may take, or it measures itself."""
CONNECTIONS = 4
IN_FLIGHT = 4
"""Requests under way on each connection."""


async def answers_a_second(address: str, images: Array, expected: Array, seconds: float) -> float:
    """Ask for a while with all connections; returns right answers a second."""
    import grpc.aio

    requests = [infer_request(MODEL, "image", "FP32", image[np.newaxis]) for image in images]
    begin = time.monotonic()
    answered = 0

    async def ask(channel: grpc.aio.Channel, index: int) -> None:
        nonlocal answered
        call = channel.unary_unary(f"{SERVICE}/ModelInfer")
        while time.monotonic() - begin < seconds:
            index = (index + 1) % len(requests)
            scores = np.frombuffer(raw_outputs(await call(requests[index]))[0], dtype=np.float32)
            np.testing.assert_allclose(scores, expected[index], rtol=2e-2, atol=2e-2)
            answered += 1

    own_pool = (("grpc.use_local_subchannel_pool", 1),)  # or channels to one address share a connection
    channels = [grpc.aio.insecure_channel(address, options=own_pool) for _ in range(CONNECTIONS)]
    try:
        await asyncio.gather(*(ask(channel, number) for channel in channels for number in range(IN_FLIGHT)))
        return answered / (time.monotonic() - begin)
    finally:
        for channel in channels:
            await channel.close()


def main() -> int:
    """Print both speeds, their ratio and the client's share of a core."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--channels", type=int, default=64)
    wish = parser.parse_args()
    compute = ("--threads=1", "--instances=1", "--batching=off")
    one: list[float] = []
    two: list[float] = []
    with tempfile.TemporaryDirectory(prefix="haizen-processes-") as folder:
        path, row_seconds = heavy_model(Path(folder), "cpu", 1, wish.size, wish.channels)
        images = np.random.default_rng(1).random((16, 3, wish.size, wish.size), dtype=np.float32)
        (expected,) = open_session(path, "cpu").run(None, {"image": images})
        with (
            serving(Path(folder), "cpu", 1, *compute) as single,
            serving(Path(folder), "cpu", 1, *compute, "--processes=2") as double,
        ):
            for address in (single, double):
                asyncio.run(answers_a_second(address, images, expected, 1.0))
            begin, used = time.monotonic(), time.process_time()
            for _ in range(wish.rounds):
                one.append(asyncio.run(answers_a_second(single, images, expected, wish.seconds)))
                two.append(asyncio.run(answers_a_second(double, images, expected, wish.seconds)))
                print(f"one process {one[-1]:.1f}/s, two {two[-1]:.1f}/s", flush=True)
            client = (time.process_time() - used) / (time.monotonic() - begin)
    figures = {
        "row ms on all CPUs": round(row_seconds * 1000, 1),
        "one process/s": round(statistics.median(one), 1),
        "two processes/s": round(statistics.median(two), 1),
        f"ratio (bar: {BAR})": round(statistics.median(b / a for a, b in zip(one, two, strict=True)), 2),
        f"client's share of a core (bar: {CLIENT_BAR})": round(client, 3),
    }
    print(json.dumps(figures, indent=2))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
