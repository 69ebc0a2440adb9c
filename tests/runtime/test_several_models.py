"""A process with several models, of which one cannot be loaded or takes longer than the others."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx

from tests.runtime.conftest import wait_for

BODY = {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP64", "data": [5.1, 3.5, 1.4, 0.2]}]}
PROGRAM = """
import sys, time
from pathlib import Path
from haizen_runtime.backends.loading import LoadOptions, load_backend
from haizen_runtime.engine.model import Model
from haizen_runtime.listening import bind
from haizen_runtime.main import configure_logging
from haizen_runtime.serving import serve
from haizen_runtime.settings import Settings

settings, _ = Settings.parse(["--host=127.0.0.1", "--http_port=0"], {})
configure_logging(settings)
def model(name, folder):
    def load():
        while not Path(folder).exists():
            time.sleep(0.05)
        return load_backend(Path(folder), None, LoadOptions(allow_code=True))
    return Model(name, "1", load)
serve(settings, [model("other", sys.argv[2]), model("iris", sys.argv[1])], bind(settings.host, 0))
"""


def test_a_model_that_fails_leaves_the_others_running(
    iris_dir: Path, tmp_path: Path, start_program: Callable[..., Any]
) -> None:
    (tmp_path / "model.joblib").write_bytes(b"garbage")
    runtime = start_program("-c", PROGRAM, str(iris_dir), str(tmp_path))
    runtime.wait_ready()
    answer = httpx.post(runtime.url + "/v2/models/iris/infer", json=BODY)
    assert answer.json()["outputs"][0]["data"] == [0]
    broken = httpx.post(runtime.url + "/v2/models/other/infer", json=BODY)
    assert broken.status_code == 503
    assert "model.joblib cannot be loaded as sklearn" in broken.json()["error"]
    wait_for(lambda: "model other cannot be served: ModelLoadFailed" in runtime.log, runtime.describe)


def test_a_model_that_takes_long_holds_up_only_its_own_requests(
    iris_dir: Path, tmp_path: Path, start_program: Callable[..., Any]
) -> None:
    folder = tmp_path / "late"
    runtime = start_program("-c", PROGRAM, str(iris_dir), str(folder))

    def infer(name: str) -> httpx.Response:
        return httpx.post(f"{runtime.url}/v2/models/{name}/infer", json=BODY, timeout=120)

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(infer, "other")
        try:
            held = 'haizen_requests_held{model_name="other",model_version="1"} 1.0'
            wait_for(lambda: held in httpx.get(runtime.url + "/metrics", timeout=60).text, runtime.describe)
            assert infer("iris").json()["outputs"][0]["data"] == [0]
            assert httpx.get(runtime.url + "/v2/health/ready").status_code == 503
        finally:
            folder.symlink_to(iris_dir)
        assert waiting.result().json()["outputs"][0]["data"] == [0]
    runtime.wait_ready()
