"""LitServe, one worker, with and without its batching."""

from collections.abc import Callable

from e2e.bench.cases import Model
from e2e.bench.contestant import APPS, HTTP_ONLY, PEER, Contestant, Launch, Place


def _launch(batch: int) -> Callable[[Place], Launch]:
    def launch(place: Place) -> Launch:
        command = [place.python, APPS / "litserve_app.py", place.model, place.model_file, str(place.http_port)]
        return Launch([*command, f"--batch={batch}"], place.http_port)

    return launch


CONTESTANTS = (
    Contestant(
        "LitServe", PEER, _launch(1), {Model.IRIS: HTTP_ONLY, Model.IMAGE: HTTP_ONLY}, "litserve", 6, family="litserve"
    ),
    Contestant("LitServe, batches", PEER, _launch(32), {Model.IRIS: HTTP_ONLY}, "litserve", 6, family="litserve"),
)
