"""A classifier of scikit-learn's bundled handwritten digits, written as joblib and as ONNX.

One row is an 8 x 8 picture: 64 numbers from 0 (white) to 16 (black), row by row. The answer is the digit, 0 to 9.
The data comes with scikit-learn (1,797 digits, UCI's "Optical Recognition of Handwritten Digits"): no download.
"""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FORMATS = ("sklearn", "onnx")
"""The formats the sample can be written in, each in a folder of that name."""

FILE_NAMES = {"sklearn": "model.joblib", "onnx": "model.onnx"}
"""The model's file name in each format's folder."""

HELD_OUT = 100
"""The last rows of the data set, which the model never saw: what the curl line and the tests send."""


@dataclass(frozen=True)
class Sample:
    """What training made: a file for each format and the accuracy on the held-out digits (0 to 1)."""

    files: dict[str, Path]
    accuracy: float


def held_out_digits(count: int = HELD_OUT) -> tuple[list[list[float]], list[int]]:
    """Return up to ``HELD_OUT`` digits that the model was not trained on: rows of 64 numbers, and the true answers."""
    from sklearn.datasets import load_digits

    data = load_digits()
    rows = data.data[-HELD_OUT:][:count]
    return rows.tolist(), data.target[-HELD_OUT:][:count].tolist()


def train() -> Any:
    """Train the classifier (about a second) on all digits but the last ``HELD_OUT``; the same every time."""
    from sklearn.datasets import load_digits
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MinMaxScaler

    data = load_digits()
    # In float32, as an ONNX model computes, so that both formats give the same answers.
    rows = data.data[:-HELD_OUT].astype("float32")
    return make_pipeline(MinMaxScaler(), LogisticRegression(max_iter=1000)).fit(rows, data.target[:-HELD_OUT])


def write(folder: Path, formats: tuple[str, ...] = FORMATS) -> Sample:
    """Train the classifier and write it below ``folder``, as ``sklearn/model.joblib`` and ``onnx/model.onnx``.

    A file appears whole or not at all, so that somebody who loads it at the same time never reads half a model.
    """
    model = train()
    rows, answers = held_out_digits()
    encoders = {"sklearn": _encode_joblib, "onnx": _encode_onnx}
    files = {}
    for name in formats:
        target = folder / name / FILE_NAMES[name]
        _write_whole(target, encoders[name](model))
        files[name] = target
    return Sample(files, float(model.score(rows, answers)))


def _encode_joblib(model: Any) -> bytes:
    import io

    import joblib

    buffer = io.BytesIO()
    joblib.dump(model, buffer)
    return buffer.getvalue()


def _encode_onnx(model: Any) -> bytes:
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType
    from skl2onnx.helpers.onnx_helper import select_model_inputs_outputs

    converted = to_onnx(
        model, initial_types=[("digits", FloatTensorType([None, 64]))], options={"zipmap": False}, target_opset=17
    )
    # Only the label, so that the answers of both formats look the same.
    encoded = select_model_inputs_outputs(converted, outputs=["label"]).SerializeToString()
    assert isinstance(encoded, bytes)
    return encoded


def _write_whole(target: Path, content: bytes) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        os.chmod(temporary, 0o644)
        os.replace(temporary, target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
