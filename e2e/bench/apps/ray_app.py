"""Ray Serve with iris through v2 JSON: one replica, one proxy, no dashboard."""

import argparse
import signal
from typing import Any

import joblib
import numpy as np
import ray
from ray import serve
from starlette.requests import Request


def rows_of(request: dict[str, Any]) -> Any:
    """The input as an array."""
    tensor = request["inputs"][0]
    return np.asarray(tensor["data"], dtype=np.float32).reshape(tensor["shape"])


def response(classes: Any) -> dict[str, Any]:
    """The answer as v2 JSON has it."""
    tensor = {"name": "output-0", "shape": list(classes.shape), "datatype": "INT64", "data": classes.tolist()}
    return {"model_name": "iris", "outputs": [tensor]}


@serve.deployment(num_replicas=1, max_ongoing_requests=128)
class Iris:
    """One request a call."""

    def __init__(self, file: str) -> None:
        self.model = joblib.load(file)

    async def __call__(self, request: Request) -> dict[str, Any]:
        return response(self.model.predict(rows_of(await request.json())))


@serve.deployment(num_replicas=1, max_ongoing_requests=128)
class IrisBatched:
    """Up to 32 requests a call."""

    def __init__(self, file: str) -> None:
        self.model = joblib.load(file)

    @serve.batch(max_batch_size=32, batch_wait_timeout_s=0.002)
    async def predict(self, rows: list[Any]) -> list[Any]:
        classes = self.model.predict(np.concatenate(rows))
        return [classes[row : row + 1] for row in range(len(rows))]

    async def __call__(self, request: Request) -> dict[str, Any]:
        return response(await self.predict(rows_of(await request.json())))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("file")
    parser.add_argument("port", type=int)
    parser.add_argument("--batch", action="store_true")
    parser.add_argument("--folder", required=True)
    wish = parser.parse_args()
    ray.init(
        num_cpus=2, include_dashboard=False, object_store_memory=100 * 2**20, _temp_dir=wish.folder, log_to_driver=False
    )
    serve.start(http_options={"host": "127.0.0.1", "port": wish.port})
    application = (IrisBatched if wish.batch else Iris).bind(wish.file)
    serve.run(application, route_prefix="/v2/models/iris/infer")
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
