"""A process with several models, of which one cannot be loaded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

PROGRAM = """
import sys
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
    return Model(name, "1", lambda: load_backend(Path(folder), None, LoadOptions(allow_code=True)))
serve(settings, [model("broken", sys.argv[2]), model("iris", sys.argv[1])], bind(settings.host, 0))
"""


def test_a_model_that_fails_leaves_the_others_running(
    iris_dir: Path, tmp_path: Path, start_program: Callable[..., Any]
) -> None:
    (tmp_path / "model.joblib").write_bytes(b"garbage")
    runtime = start_program("-c", PROGRAM, str(iris_dir), str(tmp_path))
    runtime.wait_ready()
    body = {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP64", "data": [5.1, 3.5, 1.4, 0.2]}]}
    answer = httpx.post(runtime.url + "/v2/models/iris/infer", json=body)
    assert answer.json()["outputs"][0]["data"] == [0]
    broken = httpx.post(runtime.url + "/v2/models/broken/infer", json=body)
    assert broken.status_code == 503
    assert "model.joblib cannot be loaded as sklearn" in broken.json()["error"]
    assert "model broken cannot be served: ModelLoadFailed" in runtime.log
