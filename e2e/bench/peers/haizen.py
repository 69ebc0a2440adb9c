"""haizen's runtime as shipped, with what its users install beside it."""

from collections.abc import Callable

from e2e.bench.cases import Model
from e2e.bench.contestant import ALL_DOORS, HTTP_ONLY, JSON_AND_GRPC, OURS, Contestant, Launch, Place
from e2e.bench.environments import LOCKED
from e2e.cluster.settings import REPOSITORY


def _launch(*arguments: str) -> Callable[[Place], Launch]:
    def launch(place: Place) -> Launch:
        command = [place.python, "-m", "haizen_runtime.main", f"--model_name={place.model}"]
        command += [f"--model_dir={place.model_folder}", "--host=127.0.0.1", f"--http_port={place.http_port}"]
        command += ["--log_level=warning", "--allow_code", *arguments]
        return Launch(command, place.http_port, place.http_port, {"PYTHONPATH": str(REPOSITORY / "runtime")})

    return launch


HAIZEN = Contestant(
    "haizen", OURS, _launch(), {Model.IRIS: JSON_AND_GRPC, Model.IMAGE: ALL_DOORS}, LOCKED, start_seconds=2
)
ONE_PROCESS, TWO_PROCESSES = (
    Contestant(
        f"haizen, {count} process{'es' if count > 1 else ''}", OURS, _launch(f"--workers={count}"),
        {Model.COMPUTE: HTTP_ONLY}, LOCKED, cores=frozenset({0, 1}), start_seconds=3,
    )
    for count in (1, 2)
)  # fmt: skip
