"""OpenVINO models answer what the network answers that they were made from."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import openvino
import pytest
from openvino import opset13 as ops
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from haizen_runtime.backends.loading import LoadOptions, load_backend
from haizen_runtime.engine.batches import run_batch
from haizen_runtime.protocol.errors import InvalidInput, ModelLoadFailed
from haizen_runtime.protocol.messages import InferenceRequest, Tensor

FEATURES, LABELS = load_digits(return_X_y=True)
PIXELS = (FEATURES / 16).astype(np.float32)
TOLERANCE = {"rtol": 1e-4, "atol": 1e-5}
"""float32 here, float64 in scikit-learn."""


@pytest.fixture(scope="module")
def net() -> MLPClassifier:
    net = MLPClassifier((32,), random_state=0, max_iter=20)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        net.fit(PIXELS, LABELS)
    assert net.score(PIXELS, LABELS) > 0.5
    return net


def save(net: MLPClassifier, path: Path, rows: int = -1) -> None:
    """The classifier as a graph: probabilities and the class."""
    values: Any = ops.parameter([rows, 64], np.float32, name="pixels")
    parameter = values
    layers = list(zip(net.coefs_, net.intercepts_, strict=True))
    for index, (weights, bias) in enumerate(layers):
        product = ops.matmul(values, ops.constant(weights.astype(np.float32)), False, False)
        values = ops.add(product, ops.constant(bias.astype(np.float32)))
        if index < len(layers) - 1:
            values = ops.relu(values)
    probabilities = ops.softmax(values, 1)
    probabilities.output(0).set_names({"probabilities"})
    label = ops.topk(probabilities, ops.constant(1), 1, "max", "value", index_element_type="i64").output(1)
    label.set_names({"label"})
    model = openvino.Model([probabilities.output(0), label], [parameter], "digits")
    openvino.save_model(model, str(path), compress_to_fp16=False)


def test_answers_what_the_classifier_answers(tmp_path: Path, net: MLPClassifier) -> None:
    save(net, tmp_path / "model.xml")
    backend = load_backend(tmp_path, None, LoadOptions())
    assert backend.metadata.platform == "openvino"
    assert [(t.name, t.datatype, t.shape) for t in backend.metadata.inputs] == [("pixels", "FP32", (-1, 64))]
    assert [(t.name, t.datatype, t.shape) for t in backend.metadata.outputs] == [
        ("probabilities", "FP32", (-1, 10)), ("label", "INT64", (-1, 1)),
    ]  # fmt: skip
    answer = backend.execute({"pixels": PIXELS}, None)
    np.testing.assert_allclose(answer["probabilities"], net.predict_proba(PIXELS), **TOLERANCE)
    np.testing.assert_array_equal(answer["label"][:, 0], net.predict(PIXELS))
    assert list(backend.execute({"pixels": PIXELS[:2]}, ["label"])) == ["label"]


@pytest.mark.parametrize(("rows", "merges"), [pytest.param(-1, True, id="open"), pytest.param(3, False, id="fixed")])
def test_merges_rows_where_the_first_axis_is_open(tmp_path: Path, net: MLPClassifier, rows: int, merges: bool) -> None:
    save(net, tmp_path / "model.xml", rows)
    backend = load_backend(tmp_path, None, LoadOptions())
    assert backend.batchable == merges
    sample = backend.sample(3)
    assert sample is not None
    assert backend.execute(sample, None)["label"].shape == (3, 1)
    if merges:
        requests = [InferenceRequest("m", [Tensor("pixels", "FP32", (n, 64), PIXELS[:n])]) for n in (1, 4)]
        for count, answer in zip((1, 4), run_batch(backend, requests, "1"), strict=True):
            assert not isinstance(answer, Exception)
            np.testing.assert_allclose(answer.outputs[0].data, net.predict_proba(PIXELS[:count]), **TOLERANCE)


def test_several_requests_at_once_keep_their_answers(tmp_path: Path, net: MLPClassifier) -> None:
    save(net, tmp_path / "model.xml")
    backend = load_backend(tmp_path, None, LoadOptions(threads=2))
    expected = net.predict_proba(PIXELS)
    wrong: list[int] = []

    def ask(start: int) -> None:
        for index in range(start, 400, 8):
            answer = backend.execute({"pixels": PIXELS[index : index + 1]}, None)["probabilities"]
            if not np.allclose(answer, expected[index : index + 1], **TOLERANCE):
                wrong.append(index)

    threads = [threading.Thread(target=ask, args=(start,)) for start in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_strings(tmp_path: Path) -> None:
    text = ops.parameter([-1], openvino.Type.string, name="text")
    text.output(0).set_names({"text"})
    result = ops.result(text)
    openvino.save_model(openvino.Model([result], [text]), str(tmp_path / "model.xml"))
    backend = load_backend(tmp_path, None, LoadOptions())
    assert backend.metadata.inputs[0].datatype == "BYTES"
    (name,) = (tensor.name for tensor in backend.metadata.outputs)
    answer = backend.execute({"text": np.array([b"ab", "ç".encode()], object)}, None)
    assert answer[name].tolist() == [b"ab", "ç".encode()]
    with pytest.raises(InvalidInput, match="UTF-8"):
        backend.execute({"text": np.array([b"\xff"], object)}, None)


def test_what_the_model_refuses_is_the_clients_fault(tmp_path: Path, net: MLPClassifier) -> None:
    save(net, tmp_path / "model.xml")
    backend = load_backend(tmp_path, None, LoadOptions())
    with pytest.raises(InvalidInput, match="incompatible"):
        backend.execute({"pixels": PIXELS[:, :63]}, None)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        pytest.param(lambda path: path.with_suffix(".bin").unlink(), "its weights in model.bin", id="no-weights"),
        pytest.param(lambda path: cut(path.with_suffix(".bin")), "model.xml cannot be loaded", id="short-weights"),
        pytest.param(cut, "model.xml cannot be loaded", id="short-graph"),
        pytest.param(lambda path: path.write_text("<PMML/>"), "no model in OpenVINO", id="other-xml"),
        pytest.param(lambda path: path.write_bytes(b""), "no model in OpenVINO", id="empty"),
    ],
)
def test_a_broken_file_is_a_clear_error(
    tmp_path: Path, net: MLPClassifier, damage: Callable[[Path], object], says: str
) -> None:
    save(net, tmp_path / "model.xml")
    damage(tmp_path / "model.xml")
    with pytest.raises(ModelLoadFailed, match=says):
        load_backend(tmp_path, None, LoadOptions())


def test_there_are_no_gpus(tmp_path: Path, net: MLPClassifier) -> None:
    save(net, tmp_path / "model.xml")
    with pytest.raises(ModelLoadFailed, match="run on the CPU"):
        load_backend(tmp_path, None, LoadOptions(device="cuda"))


def test_through_a_process(tmp_path: Path, net: MLPClassifier, start_runtime: Callable[..., Any]) -> None:
    save(net, tmp_path / "model.xml")
    runtime = start_runtime("--model_name=digits", f"--model_dir={tmp_path}")
    runtime.wait_ready()
    v1 = httpx.post(runtime.url + "/v1/models/digits:predict", json={"instances": PIXELS[:3].tolist()}).json()
    assert [row["label"] for row in v1["predictions"]] == net.predict(PIXELS[:3]).reshape(-1, 1).tolist()
    tensor = {"name": "pixels", "datatype": "FP32", "shape": [3, 64], "data": PIXELS[:3].ravel().tolist()}
    v2 = httpx.post(runtime.url + "/v2/models/digits/infer", json={"inputs": [tensor]}).json()
    np.testing.assert_allclose(
        np.reshape(v2["outputs"][0]["data"], (3, 10)), net.predict_proba(PIXELS[:3]), **TOLERANCE
    )
    for wrong in ({"name": "image"}, {"datatype": "INT64", "data": [1] * 192}, {"shape": [2, 96]}):
        answer = httpx.post(runtime.url + "/v2/models/digits/infer", json={"inputs": [{**tensor, **wrong}]})
        assert answer.status_code == 400, answer.text
