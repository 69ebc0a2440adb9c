"""Triton through pytriton (PyPI), as shipped and with batches of up to 32 after 2 ms."""

from collections.abc import Callable

from e2e.bench.cases import Model
from e2e.bench.contestant import ALL_DOORS, APPS, JSON_AND_GRPC, PEER, Contestant, Launch, Place
from e2e.bench.environments import python_library_folder


def _launch(*arguments: str) -> Callable[[Place], Launch]:
    def launch(place: Place) -> Launch:
        ports = [str(place.http_port), str(place.grpc_port)]
        command = [place.python, APPS / "triton_app.py", place.model, place.model_file, *ports, *arguments]
        libraries = {"LD_LIBRARY_PATH": python_library_folder()}
        return Launch([*command, "--folder", place.folder / "work"], place.http_port, place.grpc_port, libraries)

    return launch


CONTESTANTS = (
    Contestant(
        "Triton", PEER, _launch(), {Model.IRIS: JSON_AND_GRPC, Model.IMAGE: ALL_DOORS}, "triton", 10, family="triton"
    ),
    Contestant("Triton, batches", PEER, _launch("--batch"), {Model.IRIS: JSON_AND_GRPC}, "triton", 10, family="triton"),
)
