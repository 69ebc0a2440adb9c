"""The floors: a bare ASGI app on the same server, the batching prototype, a bare grpc.aio server."""

from e2e.bench.bars import BARE, GRPC_AIO, PROTOTYPE
from e2e.bench.cases import Door, Model
from e2e.bench.contestant import APPS, FLOOR, HTTP_ONLY, JSON_AND_GRPC, Contestant, Launch, Place
from e2e.bench.environments import LOCKED
from e2e.cluster.settings import REPOSITORY


def _uvicorn(app: str, place: Place) -> Launch:
    command = [place.python, "-m", "uvicorn", f"e2e.bench.apps.{app}:app", "--http", "zttp", "--http2"]
    command += ["--loop", "uvloop", "--host", "127.0.0.1", "--port", str(place.http_port), "--app-dir", REPOSITORY]
    command += ["--no-access-log", "--log-level", "warning", "--lifespan", "off", "--ws", "none"]
    environment = {"BENCH_ANSWERS": str(place.answers), "BENCH_MODEL_FILE": str(place.model_file)}
    return Launch(command, place.http_port, place.http_port, environment)


def _grpc_aio(place: Place) -> Launch:
    environment = {"BENCH_ANSWERS": str(place.answers), "PYTHONPATH": str(REPOSITORY)}
    command = [place.python, APPS / "grpc_floor_app.py", str(place.grpc_port)]
    return Launch(command, grpc_port=place.grpc_port, environment=environment)


_GRPC = frozenset({Door.GRPC})
CONTESTANTS = (
    Contestant(
        PROTOTYPE, FLOOR, lambda place: _uvicorn("prototype_app", place), {Model.IRIS: HTTP_ONLY}, LOCKED,
        family="prototype",
    ),
    Contestant(
        BARE, FLOOR, lambda place: _uvicorn("floor_app", place),
        {Model.IRIS: JSON_AND_GRPC, Model.IMAGE: frozenset({Door.BINARY, Door.GRPC})}, family="bare",
    ),
    Contestant(GRPC_AIO, FLOOR, _grpc_aio, {Model.IRIS: _GRPC, Model.IMAGE: _GRPC}, family="bare-grpc"),
)  # fmt: skip
