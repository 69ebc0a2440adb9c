"""`python -m e2e.bench.onnx_cnn`: a convolutional network behind the server, beside onnxruntime called in a loop.

Both run the same batch size on the same device, in turns (A B A B). The server gets one row a request over gRPC, from
processes of their own, and has to form the batches itself. Every answer is checked against onnxruntime's.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper, save

from e2e.grpc_client import SERVICE, infer_request, raw_outputs
from haizen_runtime.backends.onnx_providers import CPU, choose_providers
from haizen_runtime.protocol.wire import text_field

Array = np.ndarray[Any, Any]
LEAST_BATCH_SECONDS = 0.020
MODEL = "cnn"


def write_model(path: Path, channels: int, layers: int, size: int) -> None:
    """Write a network of `layers` 3x3 convolutions on images of [-1, 3, size, size]; its answer is [-1, 10]."""
    random = np.random.default_rng(7)
    nodes, weights, last = [], [], "image"
    for layer in range(layers):
        shape = (channels, 3 if layer == 0 else channels, 3, 3)
        values = random.standard_normal(shape, dtype=np.float32) * np.float32(np.sqrt(2 / np.prod(shape[1:])))
        weights.append(numpy_helper.from_array(values, f"w{layer}"))
        nodes.append(helper.make_node("Conv", [last, f"w{layer}"], [f"c{layer}"], pads=[1, 1, 1, 1]))
        nodes.append(helper.make_node("Relu", [f"c{layer}"], [f"r{layer}"]))
        last = f"r{layer}"
    weights.append(numpy_helper.from_array(random.standard_normal((channels, 10), dtype=np.float32), "head"))
    nodes += [
        helper.make_node("GlobalAveragePool", [last], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("MatMul", ["flat", "head"], ["scores"]),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["rows", 3, size, size])
    scores = helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["rows", 10])
    graph = helper.make_graph(nodes, MODEL, [image], [scores], weights)
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def open_session(path: Path, device: str) -> onnxruntime.InferenceSession:
    """Open the model as the server does."""
    providers = choose_providers(device, onnxruntime.get_available_providers(), has_gpu=device != "cpu")
    if providers[0][0] != CPU:
        onnxruntime.preload_dlls()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = len(os.sched_getaffinity(0)) if device == "cpu" else 1
    return onnxruntime.InferenceSession(str(path), options, providers=providers)


def heavy_model(folder: Path, device: str, batch: int, size: int, channels: int) -> tuple[Path, float]:
    """Write a network that takes at least 20 ms a batch on this device; returns its file and the seconds."""
    path, layers = folder / "model.onnx", 4
    while True:
        write_model(path, channels, layers, size)
        session, images = open_session(path, device), np.ones((batch, 3, size, size), dtype=np.float32)
        seconds = [timed(session, images) for _ in range(8)]
        middle = statistics.median(seconds[3:])
        if middle >= LEAST_BATCH_SECONDS:
            return path, middle
        layers = max(layers + 1, int(layers * LEAST_BATCH_SECONDS * 1.1 / middle))


def timed(session: onnxruntime.InferenceSession, images: Array) -> float:
    """Return the seconds of one run."""
    begin = time.perf_counter()
    session.run(None, {"image": images})
    return time.perf_counter() - begin


def in_a_loop(session: onnxruntime.InferenceSession, images: Array, seconds: float) -> float:
    """Return rows a second of onnxruntime called again and again with whole batches."""
    begin, runs = time.perf_counter(), 0
    while time.perf_counter() - begin < seconds:
        session.run(None, {"image": images})
        runs += 1
    return runs * len(images) / (time.perf_counter() - begin)


@contextmanager
def serving(folder: Path, device: str, batch: int, *more: str) -> Iterator[str]:
    """Run the server on the model, with `more` arguments; gives its address once it is ready."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    command = [sys.executable, "-m", "haizen_runtime.main", f"--model_name={MODEL}", f"--model_dir={folder}"]
    command += [f"--device={device}", f"--max_batch_rows={batch}", f"--http_port={address.rpartition(':')[2]}", *more]
    process = subprocess.Popen([*command, "--host=127.0.0.1", "--log_level=warning"])
    try:
        asyncio.run(ready(address, process))
        yield address
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


async def ready(address: str, process: "subprocess.Popen[bytes]") -> None:
    """Wait until the server says that the model is ready."""
    import grpc.aio

    async with grpc.aio.insecure_channel(address) as channel:
        ask = channel.unary_unary(f"{SERVICE}/ModelReady")
        deadline = time.monotonic() + 180
        while True:
            assert process.poll() is None, f"the server ended with {process.returncode}"
            assert time.monotonic() < deadline, "the server did not become ready"
            try:
                if b"\x01" in await ask(text_field(1, MODEL)):
                    return
            except grpc.aio.AioRpcError:
                pass
            await asyncio.sleep(0.1)


def load(address: str, rows: Array, expected: Array, seconds: float, in_flight: int) -> int:
    """Ask one row at a time with so many requests in flight; returns how many answers came, all of them right."""
    return asyncio.run(_load(address, rows, expected, seconds, in_flight))


async def _load(address: str, rows: Array, expected: Array, seconds: float, in_flight: int) -> int:
    import grpc.aio

    requests = [infer_request(MODEL, "image", "FP32", row[np.newaxis]) for row in rows]
    end, answered = time.monotonic() + seconds, 0

    async def ask(first: int, channel: grpc.aio.Channel) -> None:
        nonlocal answered
        call, index = channel.unary_unary(f"{SERVICE}/ModelInfer"), first
        while time.monotonic() < end:
            index = (index + 1) % len(requests)
            scores = np.frombuffer(raw_outputs(await call(requests[index]))[0], dtype=np.float32)[np.newaxis]
            np.testing.assert_allclose(scores, expected[index : index + 1], rtol=2e-2, atol=2e-2)
            answered += 1

    async with grpc.aio.insecure_channel(address) as channel:
        await asyncio.gather(*(ask(number, channel) for number in range(in_flight)))
    return answered


def pin(core: int | None) -> None:
    """Keep this process, and what it starts, on one core."""
    if core is not None:
        os.sched_setaffinity(0, {core})


def through_the_server(
    address: str, rows: Array, expected: Array, seconds: float, clients: int, batch: int, core: int | None = None
) -> float:
    """Return rows a second through the server, with four batches' worth of requests in flight."""
    with multiprocessing.get_context("spawn").Pool(clients, pin, (core,)) as pool:
        work = (address, rows, expected, seconds, max(1, 4 * batch // clients))
        answers = sum(pool.starmap(load, [work] * clients))
    return answers / seconds  # each counts its own seconds: the processes' start is not among them


def main() -> int:
    """Print both speeds and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda", "tensorrt"))
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--channels", type=int, default=64)
    parser.add_argument("--clients", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--server-core", type=int, help="onnxruntime and the server stay on this core")
    parser.add_argument("--client-core", type=int, help="the clients stay on this core")
    wish = parser.parse_args()
    pin(wish.server_core)
    with tempfile.TemporaryDirectory(prefix="haizen-cnn-") as folder:
        path, batch_seconds = heavy_model(Path(folder), wish.device, wish.batch, wish.size, wish.channels)
        session = open_session(path, wish.device)
        images = np.random.default_rng(1).random((wish.batch, 3, wish.size, wish.size), dtype=np.float32)
        (expected,) = session.run(None, {"image": images})
        loops, served = [], []
        with serving(Path(folder), wish.device, wish.batch) as address:
            through_the_server(address, images, expected, 2.0, wish.clients, wish.batch, wish.client_core)
            for _ in range(wish.rounds):
                loops.append(in_a_loop(session, images, wish.seconds))
                asked = (address, images, expected, wish.seconds, wish.clients, wish.batch, wish.client_core)
                served.append(through_the_server(*asked))
                print(f"loop {loops[-1]:.0f} rows/s, served {served[-1]:.0f} rows/s", flush=True)
    figures = {
        "device": wish.device,
        "batch": wish.batch,
        "batch ms": round(batch_seconds * 1000, 1),
        "loop rows/s": round(statistics.median(loops)),
        "served rows/s": round(statistics.median(served)),
        "ratio (bar: 0.9)": round(statistics.median(s / b for s, b in zip(served, loops, strict=True)), 3),
        "providers": session.get_providers(),
    }
    print(json.dumps(figures, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
