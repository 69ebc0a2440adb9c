"""TorchServe's handler for iris through v2 JSON; a batch is one call."""

from pathlib import Path
from typing import Any

import joblib
import numpy as np


class IrisHandler:
    """scikit-learn's predict."""

    def initialize(self, context: Any) -> None:
        self.model = joblib.load(Path(context.system_properties["model_dir"]) / "model.joblib")

    def handle(self, data: list[dict[str, Any]], context: Any) -> list[dict[str, Any]]:
        tensors = [request["body"]["inputs"][0] for request in data]
        rows = [np.asarray(tensor["data"], dtype=np.float32).reshape(tensor["shape"]) for tensor in tensors]
        classes = self.model.predict(np.concatenate(rows)).tolist()
        return [
            {"outputs": [{"name": "output-0", "shape": [1], "datatype": "INT64", "data": [label]}]} for label in classes
        ]
