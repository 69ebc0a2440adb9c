"""KServe's SDK server. It batches nothing itself: KServe's batcher is another container, in front of it."""

from e2e.bench.cases import Model
from e2e.bench.contestant import ALL_DOORS, APPS, JSON_AND_GRPC, PEER, Contestant, Launch, Place


def _launch(place: Place) -> Launch:
    ports = [str(place.http_port), str(place.grpc_port)]
    command = [place.python, APPS / "kserve_app.py", place.model, place.model_file, *ports]
    return Launch(command, place.http_port, place.grpc_port)


CONTESTANTS = (
    Contestant(
        "KServe SDK", PEER, _launch, {Model.IRIS: JSON_AND_GRPC, Model.IMAGE: ALL_DOORS}, "kserve", 5, family="kserve"
    ),
)
