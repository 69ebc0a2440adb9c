"""Ray Serve, one replica, with and without its batching."""

from collections.abc import Callable

from e2e.bench.cases import Model
from e2e.bench.contestant import APPS, HTTP_ONLY, PEER, Contestant, Launch, Place


def _launch(*arguments: str) -> Callable[[Place], Launch]:
    def launch(place: Place) -> Launch:
        command = [place.python, APPS / "ray_app.py", place.model_file, str(place.http_port), *arguments]
        # Without RAY_AUTH_MODE it writes a token into the user's home.
        quiet = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled"}
        return Launch([*command, "--folder", place.folder], place.http_port, environment=quiet)

    return launch


CONTESTANTS = (
    Contestant("Ray Serve", PEER, _launch(), {Model.IRIS: HTTP_ONLY}, "ray", 25, family="ray"),
    Contestant("Ray Serve, batches", PEER, _launch("--batch"), {Model.IRIS: HTTP_ONLY}, "ray", 25, family="ray"),
)
