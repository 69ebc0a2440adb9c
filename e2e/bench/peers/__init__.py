"""Everyone who is measured: haizen, the floors and the peers, one file a server."""

from e2e.bench.contestant import Contestant
from e2e.bench.peers import bentoml, floors, kserve, litserve, mlserver, ray, torchserve, triton

CONTESTANTS: tuple[Contestant, ...] = (
    *floors.CONTESTANTS,
    *kserve.CONTESTANTS,
    *mlserver.CONTESTANTS,
    *litserve.CONTESTANTS,
    *bentoml.CONTESTANTS,
    *triton.CONTESTANTS,
    *torchserve.CONTESTANTS,
    *ray.CONTESTANTS,
)
