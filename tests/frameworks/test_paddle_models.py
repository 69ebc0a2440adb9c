"""PaddlePaddle models answer what the layers answer that they were saved from."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from sklearn import datasets

from haizen_runtime.backends.loading import LoadOptions, load_backend
from haizen_runtime.protocol.errors import InvalidInput, ModelLoadFailed
from tests.frameworks.conftest import IMPORT_SECONDS

FEATURES = datasets.load_iris(return_X_y=True)[0].astype(np.float32)
MAKE = """
import sys, warnings
warnings.simplefilter("ignore")
import numpy, paddle
from sklearn.datasets import load_iris
paddle.seed(0)
net = paddle.nn.Sequential(paddle.nn.Linear(4, 8), paddle.nn.ReLU(), paddle.nn.Linear(8, 3), paddle.nn.Softmax())
net.eval()
paddle.jit.save(net, sys.argv[1] + "/m", input_spec=[paddle.static.InputSpec([None, 4], "float32", "x")])
features = load_iris(return_X_y=True)[0].astype("float32")
numpy.save(sys.argv[1] + "/expected", net(paddle.to_tensor(features)).numpy())
"""


@pytest.fixture(scope="module", params=["1", "0"], ids=["json", "pdmodel"])
def saved(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network in the form of Paddle 3, or of Paddle 2; which of them is a matter of the whole process."""
    directory = tmp_path_factory.mktemp("paddle")
    environment = {"FLAGS_enable_pir_api": request.param, "PATH": "/usr/bin:/bin", "HOME": str(directory)}
    subprocess.run([sys.executable, "-c", MAKE, str(directory)], env=environment, check=True, timeout=600)
    return directory


def test_answers(saved: Path) -> None:
    backend = load_backend(saved, None, LoadOptions(threads=1))
    assert [(t.name, t.datatype, t.shape) for t in backend.metadata.inputs] == [("x", "FP32", (-1, 4))]
    assert [(t.name, t.datatype, t.shape) for t in backend.metadata.outputs] == [("output-0", "FP32", (-1, 3))]
    assert backend.batchable
    for rows in (1, 150, 7):
        answer = backend.execute({"anything": FEATURES[:rows]}, None)["output-0"]
        np.testing.assert_allclose(answer, np.load(saved / "expected.npy")[:rows], atol=1e-6)


def test_refuses_what_paddle_refuses(saved: Path) -> None:
    backend = load_backend(saved, "paddle", LoadOptions(threads=1))
    with pytest.raises(InvalidInput, match="refused the input"):
        backend.execute({"x": FEATURES[:, :3]}, None)
    assert backend.execute({"x": FEATURES[:2]}, None)["output-0"].shape == (2, 3)


@pytest.mark.parametrize("which", ["program", "parameters"])
@pytest.mark.parametrize("content", [b"", b"\xff" * 300])
def test_a_broken_file(saved: Path, tmp_path: Path, which: str, content: bytes) -> None:
    for file in saved.glob("m.*"):
        broken = (file.suffix == ".pdiparams") == (which == "parameters")
        (tmp_path / file.name).write_bytes(content if broken else file.read_bytes())
    with pytest.raises(ModelLoadFailed):
        load_backend(tmp_path, None, LoadOptions(threads=1))


def test_parameters_without_a_program(tmp_path: Path) -> None:
    (tmp_path / "m.pdiparams").write_bytes(b"x")
    with pytest.raises(ModelLoadFailed, match=r"Expected one \.pdmodel or \.json beside m\.pdiparams, found none"):
        load_backend(tmp_path, None, LoadOptions())


def test_over_http(saved: Path, start_runtime: Callable[..., Any]) -> None:
    runtime = start_runtime("--model_name=m", f"--model_dir={saved}", "--model_format=paddle")
    runtime.wait_ready(IMPORT_SECONDS)
    answer = httpx.post(f"{runtime.url}/v1/models/m:predict", json={"instances": FEATURES[:5].tolist()})
    np.testing.assert_allclose(answer.json()["predictions"], np.load(saved / "expected.npy")[:5], atol=1e-6)
    assert httpx.post(f"{runtime.url}/v1/models/m:predict", json={"instances": [[1.0]]}).status_code == 400
    runtime.terminate()  # Paddle would like to have this signal
    assert runtime.wait_exit() == 0, runtime.log
    assert "draining" in runtime.log
