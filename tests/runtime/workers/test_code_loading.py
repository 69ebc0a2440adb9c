"""What a start says when model.py cannot be loaded, and that a slow load holds nobody up."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.runtime.conftest import wait_for


@pytest.mark.parametrize(
    ("code", "says"),
    [
        pytest.param("import nowhere.at_all", "model.py, line 1: ModuleNotFoundError: No module named 'nowhere'; the "
                     "package that brings nowhere has to be installed beside the runtime", id="import"),
        pytest.param("\nclass Code(:\n", "model.py, line 2: SyntaxError: invalid syntax", id="syntax"),
        pytest.param("x = 1\n\nraise ValueError('no weights')", "model.py, line 3: ValueError: no weights", id="top"),
        pytest.param("import helper\n", "helper.py, line 2: ZeroDivisionError: division by zero", id="helper"),
        pytest.param("x = 1", "model.py has no model: expected a subclass of haizen_runtime.Model", id="nothing"),
        pytest.param("class A:\n  def predict(self, x): ...\nclass B:\n  def predict(self, x): ...\n",
                     "model.py has 2 models: A, B; expected one, or one called Model", id="two"),
        pytest.param("from haizen_runtime import Model\nclass A(Model): ...", "The class A in model.py has no method",
                     id="no-predict"),
        pytest.param("class A:\n  def __init__(self, weights): ...\n  def predict(self, x): ...",
                     "The constructor of A in model.py needs weights", id="constructor"),
        pytest.param("class A:\n  def load(self):\n    open('/no/such/weights')\n  def predict(self, x): ...",
                     "model.py, line 3: FileNotFoundError: [Errno 2] No such file", id="load"),
        pytest.param("class A:\n  def load(self):\n    return False\n  def predict(self, x): ...",
                     "model.py: load returned False", id="false"),
        pytest.param("import sys\nsys.exit(3)", "model.py, line 2: SystemExit: 3", id="exit"),
        pytest.param("import os\nos._exit(3)",
                     "The worker process that loads model.py ended before it was done (exit code 3)", id="dies"),
        pytest.param("class A:\n  max_batch_size = 0\n  def predict(self, x): ...",
                     "max_batch_size must be a whole number", id="batch-size"),
        pytest.param("class A:\n  def predict(self, x): ...\n  def get_input_types(self):\n    return [{'name': 'x'}]",
                     "get_input_types must return a list of", id="types"),
        pytest.param("class A:\n  def predict(self, x): ...\n  def get_input_types(self):\n"
                     "    return [{'name': 'x', 'datatype': 'float32', 'shape': [1]}]",
                     'get_input_types says that "x" is of the datatype float32; known are BOOL', id="datatype"),
    ],
)  # fmt: skip
def test_a_fatal_load_says_where(tmp_path: Path, start_code: Callable[..., Any], code: str, says: str) -> None:
    (tmp_path / "helper.py").write_text("# made to fail\n1 / 0\n")
    log = tmp_path / "termination-log"
    runtime = start_code(code, "--workers=2", HAIZEN_TERMINATION_LOG=str(log))
    assert runtime.wait_exit() == 3, runtime.log
    written = json.loads(log.read_text())
    assert (written["reason"], written["exitCode"]) == ("ModelLoadFailed", 3)
    assert says in written["message"]


def test_a_slow_load_is_alive_and_not_ready(tmp_path: Path, start_code: Callable[..., Any]) -> None:
    runtime = start_code(
        """
        import time
        from pathlib import Path

        class Code:
            def load(self):
                while not Path(__file__).with_name("weights").exists():
                    time.sleep(0.01)

            def predict(self, inputs):
                return inputs
        """
    )
    assert httpx.get(f"{runtime.url}/v2/health/live").status_code == 200
    assert httpx.get(f"{runtime.url}/v2/health/ready").status_code == 503
    # A request that comes meanwhile waits for the model.
    with ThreadPoolExecutor(1) as client:
        waiting = client.submit(httpx.post, f"{runtime.url}/v1/models/code:predict", json={"instances": [1, 2]})
        held = 'haizen_requests_held{model_name="code",model_version="1"} 1.0'
        wait_for(lambda: held in httpx.get(f"{runtime.url}/metrics").text, runtime.describe)
        (tmp_path / "weights").touch()
        assert waiting.result().json() == {"predictions": [1, 2]}
    assert httpx.get(f"{runtime.url}/v2/health/ready").status_code == 200


def test_files_beside_it_are_importable_and_readable(tmp_path: Path, serve_code: Callable[..., Any]) -> None:
    (tmp_path / "helper.py").write_text("FACTOR = 3\n")
    (tmp_path / "weights.txt").write_text("4")
    (tmp_path / "model.joblib").write_bytes(b"not looked at")
    runtime = serve_code(
        """
        from pathlib import Path
        import helper

        class Code:
            def __init__(self, name, model_dir):
                self.weight = float(Path(model_dir, "weights.txt").read_text())
                self.name = name

            def predict(self, inputs):
                return {self.name: inputs["instances"] * helper.FACTOR * self.weight}
        """
    )
    answer = httpx.post(f"{runtime.url}/v1/models/code:predict", json={"instances": [1, 2]})
    assert answer.json() == {"predictions": [12, 24]}
