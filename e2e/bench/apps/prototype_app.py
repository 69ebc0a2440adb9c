"""The batching prototype in 30 lines: whatever arrived in one turn of the event loop is one call of predict.

No timer, no limits, no checks, no metrics: what an engine that has them all is held against.
"""

import asyncio
import os
from typing import Any

import joblib
import numpy as np
import orjson

MODEL = joblib.load(os.environ["BENCH_MODEL_FILE"])
waiting: list[tuple[Any, "asyncio.Future[int]"]] = []


def flush() -> None:
    """Predict everything that waits."""
    batch = waiting.copy()
    waiting.clear()
    classes = MODEL.predict(np.array([row for row, _ in batch], dtype=np.float32))
    for (_, future), label in zip(batch, classes, strict=True):
        future.set_result(int(label))


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """ASGI: v2 JSON."""
    body = (await receive())["body"]
    loop = asyncio.get_running_loop()
    future: asyncio.Future[int] = loop.create_future()
    if not waiting:
        loop.call_soon(flush)
    waiting.append((orjson.loads(body)["inputs"][0]["data"], future))
    output = {"name": "output-0", "shape": [1], "datatype": "INT64", "data": [await future]}
    answer = orjson.dumps({"model_name": "iris", "outputs": [output]})
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})
