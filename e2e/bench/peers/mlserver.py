"""MLServer with its scikit-learn runtime: two processes as shipped, in one process, and with its adaptive batching."""

import json
from collections.abc import Callable
from typing import Any

from e2e.bench.cases import Model
from e2e.bench.contestant import APPS, HTTP_ONLY, JSON_AND_GRPC, PEER, Contestant, Launch, Place
from e2e.bench.servers import free_ports


def _launch(settings: dict[str, Any], batching: dict[str, Any]) -> Callable[[Place], Launch]:
    def launch(place: Place) -> Launch:
        ports = {"http_port": place.http_port, "grpc_port": place.grpc_port, "metrics_port": free_ports(1)[0]}
        server = {"host": "127.0.0.1", "debug": False, **ports, **settings}
        (place.folder / "settings.json").write_text(json.dumps(server))
        runtime = "mlserver_sklearn.SKLearnModel" if place.model is Model.IRIS else "mlserver_app.Image"
        parameters = {"uri": str(place.model_file)}
        model = {"name": place.model, "implementation": runtime, "parameters": parameters, **batching}
        (place.folder / "model-settings.json").write_text(json.dumps(model))
        command = [place.python.parent / "mlserver", "start", place.folder]
        return Launch(command, place.http_port, place.grpc_port, {"PYTHONPATH": str(APPS)})

    return launch


_BATCHING = {"max_batch_size": 32, "max_batch_time": 0.002}
_BOTH = {Model.IRIS: JSON_AND_GRPC, Model.IMAGE: JSON_AND_GRPC}
CONTESTANTS = (
    Contestant("MLServer", PEER, _launch({"parallel_workers": 1}, {}), _BOTH, "mlserver", 12, family="mlserver"),
    Contestant(
        "MLServer, in process", PEER, _launch({"parallel_workers": 0}, {}), {Model.IRIS: HTTP_ONLY}, "mlserver", 9,
        family="mlserver",
    ),
    Contestant(
        "MLServer, batches", PEER, _launch({"parallel_workers": 0}, _BATCHING), {Model.IRIS: JSON_AND_GRPC},
        "mlserver", 9, family="mlserver",
    ),
)  # fmt: skip
