"""Run by haizen's Python, not by the clients': writes the models that the clients call into a folder."""

import sys
from pathlib import Path

import joblib
import numpy as np
import onnx
from onnx import TensorProto, helper
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

DATATYPES = {
    "BOOL": TensorProto.BOOL, "INT8": TensorProto.INT8, "INT32": TensorProto.INT32, "INT64": TensorProto.INT64,
    "UINT8": TensorProto.UINT8, "UINT64": TensorProto.UINT64, "FP16": TensorProto.FLOAT16, "FP32": TensorProto.FLOAT,
    "FP64": TensorProto.DOUBLE, "BYTES": TensorProto.STRING,
}  # fmt: skip


def write(folder: Path) -> None:
    """Write iris (and what it answers), and a model for each datatype that gives back what it gets."""
    features, labels = load_iris(return_X_y=True)
    model = LogisticRegression(max_iter=1000).fit(features, labels)
    (folder / "iris").mkdir()
    joblib.dump(model, folder / "iris" / "model.joblib")
    np.savez(folder.parent / "expected.npz", features=features, labels=model.predict(features))
    for datatype, element in DATATYPES.items():
        tensors = [helper.make_tensor_value_info(name, element, ["rows", "columns"]) for name in "xy"]
        graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "identity", tensors[:1], tensors[1:])
        identity = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        (folder / datatype.lower()).mkdir()
        onnx.save(identity, folder / datatype.lower() / "model.onnx")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
