"""Far more requests than the model can answer: what is taken is answered, the rest is refused at once."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from tests.runtime.conftest import RuntimeProcess

PROGRAM = """
import sys, time
from pathlib import Path
from haizen_runtime.engine.backend import Backend
from haizen_runtime.engine.model import Model
from haizen_runtime.engine.scheduling_settings import SchedulingSettings
from haizen_runtime.listening import bind
from haizen_runtime.main import configure_logging
from haizen_runtime.protocol.messages import ModelMetadata, TensorMetadata
from haizen_runtime.serving import serve
from haizen_runtime.settings import Settings

class Slow(Backend):
    metadata = ModelMetadata("test", (TensorMetadata("x", "FP64", (-1,)),), (TensorMetadata("x", "FP64", (-1,)),))
    def execute(self, inputs, outputs):
        while not Path(sys.argv[1]).exists():
            time.sleep(0.005)
        return {"x": inputs["x"] * 2}
    def sample(self, rows):
        return None

settings, _ = Settings.parse(["--host=127.0.0.1", "--http_port=0"], {})
configure_logging(settings)
serve(settings, [Model("slow", "1", Slow, SchedulingSettings(1, queue_limit=7))], bind(settings.host, 0))
"""
WAITING = 7
CLIENTS = 40  # five times what there is room for
EACH = 8


def test_what_is_taken_is_answered_and_the_rest_refused(
    tmp_path: Path, start_program: Callable[..., RuntimeProcess]
) -> None:
    gate = tmp_path / "open"
    runtime = start_program("-c", PROGRAM, str(gate))
    runtime.wait_ready()
    outcomes = asyncio.run(overload(runtime.url, gate))
    assert sum(outcomes.values()) == CLIENTS * EACH
    assert set(outcomes) == {(200, None), (503, "1")}
    assert WAITING * EACH <= outcomes[200, None] <= (1 + WAITING) * EACH
    text = httpx.get(runtime.url + "/metrics").text
    refused = outcomes[503, "1"]
    assert f'haizen_requests_dropped_total{{model_name="slow",reason="queue_full"}} {float(refused)}' in text
    assert 'haizen_requests_in_flight{model_name="slow",model_version="1"} 0.0' in text
    assert 'haizen_requests_queued{model_name="slow",model_version="1"} 0.0' in text
    assert "Traceback" not in runtime.log


async def overload(url: str, gate: Path) -> Counter[Any]:
    """What becomes of the requests of so many clients, again and again, that come while one is held back."""
    outcomes: Counter[Any] = Counter()
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=url, timeout=120, limits=limits) as client:

        async def ask(number: int) -> None:
            body = {"inputs": [{"name": "x", "shape": [1], "datatype": "FP64", "data": [number]}]}
            response = await client.post("/v2/models/slow/infer", json=body)
            if response.status_code == 200:
                assert response.json()["outputs"][0]["data"] == [number * 2]
            outcomes[response.status_code, response.headers.get("retry-after")] += 1

        for turn in range(EACH):
            gate.unlink(missing_ok=True)
            asking = asyncio.gather(*(ask(number) for number in range(CLIENTS)))
            refused = (turn + 1) * (CLIENTS - 1 - WAITING)
            while outcomes[503, "1"] < refused and not asking.done():  # at once: nothing is answered yet
                for path in ("/v2/health/live", "/v2/health/ready"):
                    assert (await client.get(path)).status_code == 200
            gate.touch()
            await asking
    return outcomes
