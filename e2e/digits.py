"""The digits: real samples, models trained on them, and what those models answer on this machine."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import numpy.typing as npt
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from haizen_cli.samples import digits as sample


@dataclass(frozen=True, slots=True)
class TrainedDigits:
    """A folder with model.joblib and model.onnx, made by the sample's own trainer."""

    folder: Path

    @property
    def sklearn(self) -> Path:
        """The joblib file."""
        return self.folder / "sklearn" / "model.joblib"

    @property
    def onnx(self) -> Path:
        """The ONNX file."""
        return self.folder / "onnx" / "model.onnx"


@cache
def train(folder: Path) -> TrainedDigits:
    """Train the sample classifier once a run."""
    sample.write(folder)
    return TrainedDigits(folder)


def train_variant(folder: Path, seed: int) -> Path:
    """Train a small variant of the classifier, for a further revision; returns its joblib file."""
    images, labels = load_digits(return_X_y=True)
    chosen = np.random.default_rng(seed).permutation(len(images))[:600]
    path = folder / f"variant-{seed}" / "model.joblib"
    path.parent.mkdir(parents=True, exist_ok=True)
    joblib.dump(LogisticRegression(max_iter=200).fit(images[chosen] / 16.0, labels[chosen]), path)
    return path


def samples(count: int) -> npt.NDArray[np.float64]:
    """Return the first `count` digits, FP64 [count, 64], as scikit-learn hands them out (0..16)."""
    images: npt.NDArray[np.float64] = load_digits().data[:count]
    return images


def v1_body(images: npt.NDArray[np.float64]) -> dict[str, Any]:
    """Return KServe's v1 request."""
    return {"instances": images.tolist()}


def v2_body(images: npt.NDArray[np.float64], name: str, datatype: str) -> dict[str, Any]:
    """Return an Open Inference Protocol request with one input."""
    return {
        "inputs": [{"name": name, "datatype": datatype, "shape": list(images.shape), "data": images.ravel().tolist()}]
    }


def one_digit() -> bytes:
    """Return a v1 request with one digit, as bytes to post."""
    return json.dumps(v1_body(samples(1))).encode()
