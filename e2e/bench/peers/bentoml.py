"""BentoML, one worker, with and without its adaptive batching."""

from collections.abc import Callable

from e2e.bench.cases import Model
from e2e.bench.contestant import APPS, HTTP_ONLY, PEER, Contestant, Launch, Place


def _launch(iris: str) -> Callable[[Place], Launch]:
    def launch(place: Place) -> Launch:
        service = iris if place.model is Model.IRIS else "Image"
        command = [place.python.parent / "bentoml", "serve", f"bentoml_app:{service}", "--working-dir", APPS]
        command += ["--host", "127.0.0.1", "--port", str(place.http_port)]
        quiet = {"BENTOML_DO_NOT_TRACK": "true", "BENTOML_HOME": str(place.folder / "home")}
        return Launch(command, place.http_port, environment={"BENCH_MODEL_FILE": str(place.model_file), **quiet})

    return launch


CONTESTANTS = (
    Contestant(
        "BentoML",
        PEER,
        _launch("Iris"),
        {Model.IRIS: HTTP_ONLY, Model.IMAGE: HTTP_ONLY},
        "bentoml",
        8,
        family="bentoml",
    ),
    Contestant(
        "BentoML, batches", PEER, _launch("IrisBatched"), {Model.IRIS: HTTP_ONLY}, "bentoml", 8, family="bentoml"
    ),
)
