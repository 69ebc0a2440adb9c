"""SavedModels answer what the classifier answers that they were made from, and run no graph that was not allowed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import tensorflow as tf
from sklearn.linear_model import LogisticRegression

from haizen_runtime.backends.loading import LoadOptions, load_backend
from haizen_runtime.engine.batches import run_batch
from haizen_runtime.protocol.errors import InvalidInput, ModelLoadFailed, UntrustedFormat
from haizen_runtime.protocol.messages import InferenceRequest, Tensor
from tests.frameworks.conftest import IMPORT_SECONDS

TRUSTED = LoadOptions(allow_code=True)
TOLERANCE = {"rtol": 1e-4, "atol": 1e-5}
"""float32 here, float64 in scikit-learn."""


class Digits(tf.Module):  # type: ignore[misc, unused-ignore]
    def __init__(self, classifier: Any) -> None:
        super().__init__()
        self.weights = tf.Variable(classifier.coef_.T.astype(np.float32))
        self.bias = tf.Variable(classifier.intercept_.astype(np.float32))

    @tf.function
    def serve(self, pixels: Any) -> dict[str, Any]:
        logits = tf.matmul(pixels, self.weights) + self.bias
        return {"probabilities": tf.nn.softmax(logits), "label": tf.argmax(logits, 1)}


class Texts(tf.Module):  # type: ignore[misc, unused-ignore]
    @tf.function
    def upper(self, text: Any) -> dict[str, Any]:
        return {"upper_bytes": tf.strings.upper(text)}

    @tf.function
    def doubled(self, values: Any) -> dict[str, Any]:
        return {"doubled": values * 2}

    @tf.function
    def write(self, text: Any) -> dict[str, Any]:
        tf.io.write_file(text[0], "written")
        return {"same": text}


@pytest.fixture(scope="session")
def classifier(digits: tuple[Any, Any]) -> LogisticRegression:
    return LogisticRegression(max_iter=300).fit(*digits)


def save_digits(classifier: LogisticRegression, path: Path, rows: int | None = None) -> None:
    module = Digits(classifier)
    serve = module.serve.get_concrete_function(tf.TensorSpec([rows, 64], tf.float32, name="pixels"))
    tf.saved_model.save(module, str(path), signatures={"serving_default": serve})


def save_texts(path: Path, **signatures: str) -> None:
    module = Texts()
    specs = {
        "upper": tf.TensorSpec([None], tf.string, name="text"),
        "write": tf.TensorSpec([None], tf.string, name="text"),
        "doubled": tf.TensorSpec([None, 2], tf.bfloat16, name="values"),
    }
    chosen = {name: getattr(module, each).get_concrete_function(specs[each]) for name, each in signatures.items()}
    tf.saved_model.save(module, str(path), signatures=chosen)


@pytest.mark.parametrize("folder", [pytest.param("", id="plain"), pytest.param("m/00000002", id="tensorflow-serving")])
def test_answers_what_the_classifier_answers(
    tmp_path: Path, classifier: LogisticRegression, digits: tuple[Any, Any], folder: str
) -> None:
    save_digits(classifier, tmp_path / folder)
    if folder:
        (tmp_path / "m/1").mkdir()
        (tmp_path / "m/1/saved_model.pb").write_bytes(b"an older version")
    backend = load_backend(tmp_path, None, TRUSTED)
    assert [(t.name, t.datatype, t.shape) for t in backend.metadata.inputs] == [("pixels", "FP32", (-1, 64))]
    assert {(t.name, t.datatype, t.shape) for t in backend.metadata.outputs} == {
        ("probabilities", "FP32", (-1, 10)), ("label", "INT64", (-1,)),
    }  # fmt: skip
    pixels = digits[0]
    answer = backend.execute({"pixels": pixels}, None)
    np.testing.assert_allclose(answer["probabilities"], classifier.predict_proba(pixels), **TOLERANCE)
    np.testing.assert_array_equal(answer["label"], classifier.predict(pixels))
    assert list(backend.execute({"pixels": pixels[:2]}, ["label"])) == ["label"]


@pytest.mark.parametrize(("rows", "merges"), [pytest.param(None, True, id="open"), pytest.param(3, False, id="fixed")])
def test_merges_rows_where_the_first_axis_is_open(
    tmp_path: Path, classifier: LogisticRegression, digits: tuple[Any, Any], rows: int | None, merges: bool
) -> None:
    save_digits(classifier, tmp_path, rows)
    backend = load_backend(tmp_path, None, TRUSTED)
    assert backend.batchable == merges
    sample = backend.sample(3)
    assert sample is not None
    assert backend.execute(sample, None)["label"].shape == (3,)
    if merges:
        requests = [InferenceRequest("m", [Tensor("pixels", "FP32", (n, 64), digits[0][:n])]) for n in (1, 4)]
        for count, answer in zip((1, 4), run_batch(backend, requests, "1"), strict=True):
            assert not isinstance(answer, Exception)
            found = {tensor.name: tensor.data for tensor in answer.outputs}["probabilities"]
            np.testing.assert_allclose(found, classifier.predict_proba(digits[0][:count]), **TOLERANCE)


def test_strings_and_a_lone_signature_of_another_name(tmp_path: Path) -> None:
    save_texts(tmp_path, shout="upper")
    backend = load_backend(tmp_path, None, TRUSTED)
    assert backend.metadata.inputs[0].datatype == "BYTES"
    answer = backend.execute({"text": np.array([b"ab", b"\xff"], object)}, None)
    assert answer["upper_bytes"].tolist() == [b"AB", b"\xff"]


def test_bf16(tmp_path: Path) -> None:
    save_texts(tmp_path, serving_default="doubled")
    backend = load_backend(tmp_path, None, TRUSTED)
    assert backend.metadata.inputs[0].datatype == backend.metadata.outputs[0].datatype == "BF16"
    answer = backend.execute({"values": np.array([[1.5, 2]], np.float32)}, None)
    np.testing.assert_array_equal(answer["doubled"], np.array([[3, 4]], np.float32))


def test_what_the_model_refuses_is_the_clients_fault(
    tmp_path: Path, classifier: LogisticRegression, digits: tuple[Any, Any]
) -> None:
    save_digits(classifier, tmp_path)
    backend = load_backend(tmp_path, None, TRUSTED)
    with pytest.raises(InvalidInput, match="size-incompatible"):
        backend.execute({"pixels": digits[0][:, :63]}, None)


def test_a_graph_that_writes_files_needs_permission(tmp_path: Path) -> None:
    save_texts(tmp_path / "model", serving_default="write")
    marker = tmp_path / "marker"
    with pytest.raises(UntrustedFormat, match="--allow_code"):
        load_backend(tmp_path / "model", None, LoadOptions())
    # It does what makes the permission necessary:
    load_backend(tmp_path / "model", None, TRUSTED).execute({"text": np.array([str(marker).encode()], object)}, None)
    assert marker.read_text() == "written"


def test_several_signatures_and_none_is_the_usual_one(tmp_path: Path) -> None:
    save_texts(tmp_path, shout="upper", twice="doubled")
    with pytest.raises(ModelLoadFailed, match=r"no signature serving_default; its signatures: (shout, twice|twice, s)"):
        load_backend(tmp_path, None, TRUSTED)


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\x00" * 100])
def test_a_broken_file_is_a_clear_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "saved_model.pb").write_bytes(content)
    with pytest.raises(ModelLoadFailed, match=r"cannot be loaded as tensorflow|has no signature"):
        load_backend(tmp_path, None, TRUSTED)


def test_missing_variables_are_a_clear_error(tmp_path: Path, classifier: LogisticRegression) -> None:
    save_digits(classifier, tmp_path)
    for file in (tmp_path / "variables").iterdir():
        file.unlink()
    with pytest.raises(ModelLoadFailed, match="cannot be loaded as tensorflow"):
        load_backend(tmp_path, None, TRUSTED)


def test_through_a_process(
    tmp_path: Path, classifier: LogisticRegression, digits: tuple[Any, Any], start_runtime: Callable[..., Any]
) -> None:
    save_digits(classifier, tmp_path / "1")
    runtime = start_runtime("--model_name=digits", f"--model_dir={tmp_path}", "--allow_code")
    runtime.wait_ready(IMPORT_SECONDS)
    rows = digits[0][:3]
    v1 = httpx.post(
        runtime.url + "/v1/models/digits:predict",
        json={"signature_name": "serving_default", "instances": rows.tolist()}, timeout=60,
    ).json()  # fmt: skip
    assert [row["label"] for row in v1["predictions"]] == classifier.predict(rows).tolist()
    tensor = {"name": "pixels", "datatype": "FP32", "shape": [3, 64], "data": rows.ravel().tolist()}
    v2 = httpx.post(runtime.url + "/v2/models/digits/infer", json={"inputs": [tensor]}, timeout=60).json()
    found = {each["name"]: each["data"] for each in v2["outputs"]}
    np.testing.assert_allclose(np.reshape(found["probabilities"], (3, 10)), classifier.predict_proba(rows), **TOLERANCE)
    for wrong in ({"datatype": "INT64", "data": [1] * 192}, {"shape": [2, 96]}):
        answer = httpx.post(runtime.url + "/v2/models/digits/infer", json={"inputs": [{**tensor, **wrong}]})
        assert answer.status_code == 400, answer.text
