"""TorchServe (Java 17 has to be on PATH), one worker, with and without its batching."""

import json
from collections.abc import Callable

from e2e.bench.cases import Model
from e2e.bench.contestant import APPS, HTTP_ONLY, PEER, Contestant, Launch, Place
from e2e.bench.servers import environment, free_ports
from e2e.cluster.shell import run

_LOG_SETTINGS = """<?xml version="1.0" encoding="UTF-8"?>
<Configuration>
  <Appenders><Console name="console"><PatternLayout pattern="%p %m%n"/></Console></Appenders>
  <Loggers><Root level="warn"><AppenderRef ref="console"/></Root></Loggers>
</Configuration>
"""


def _launch(batch_size: int) -> Callable[[Place], Launch]:
    def launch(place: Place) -> Launch:
        store = place.folder / "store"
        store.mkdir()
        archiver = [place.python.parent / "torch-model-archiver", "--model-name", "iris", "--version", "1.0"]
        archiver += ["--handler", APPS / "torchserve_app.py", "--extra-files", place.model_file, "--export-path", store]
        run(archiver, cwd=place.folder, env=environment(place.python, {}))
        own = {"marName": "iris.mar", "minWorkers": 1, "maxWorkers": 1, "batchSize": batch_size, "maxBatchDelay": 2}
        management, metrics, grpc_inference, grpc_management = free_ports(4)
        settings = {
            "inference_address": f"http://127.0.0.1:{place.http_port}",
            "management_address": f"http://127.0.0.1:{management}",
            "metrics_address": f"http://127.0.0.1:{metrics}",
            "grpc_inference_port": grpc_inference,
            "grpc_management_port": grpc_management,
            "model_store": store,
            "load_models": "iris.mar",
            "default_workers_per_model": 1,
            "disable_system_metrics": "true",
            "models": json.dumps(
                {"iris": {"1.0": {"defaultVersion": True, **own, "responseTimeout": 60, "startupTimeout": 180}}}
            ),
        }
        configuration, log = place.folder / "config.properties", place.folder / "log4j2.xml"
        configuration.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        log.write_text(_LOG_SETTINGS)
        command = [place.python.parent / "torchserve", "--start", "--foreground", "--ncs", "--disable-token-auth"]
        command += ["--ts-config", configuration, "--log-config", log]
        logs = {"LOG_LOCATION": str(place.folder), "METRICS_LOCATION": str(place.folder), "TEMP": str(place.folder)}
        return Launch(command, place.http_port, environment=logs, path="/predictions/iris")

    return launch


CONTESTANTS = (
    Contestant("TorchServe", PEER, _launch(1), {Model.IRIS: HTTP_ONLY}, "torchserve", 14, family="torchserve"),
    Contestant(
        "TorchServe, batches", PEER, _launch(32), {Model.IRIS: HTTP_ONLY}, "torchserve", 14, family="torchserve"
    ),
)
