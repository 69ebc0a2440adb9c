"""The models that are served, written where the contestants find them."""

import inspect
import json
from pathlib import Path

from e2e.bench.cases import Model
from e2e.bench.questions import computed, iris_questions
from e2e.bench.servers import environment
from e2e.cluster.shell import run

_TRAINING = Path(__file__).parent / "apps" / "train_iris.py"
_COMPUTE = '''"""Python code that one core has to do step by step."""

import numpy as np

from haizen_runtime import Model


{function}

class Compute(Model):
    def predict(self, inputs):
        (rows,) = inputs.values()
        return {"output-0": np.array([computed(int(row)) for row in rows.ravel()])}
'''


class ModelFiles:
    """One folder a model and an environment; written once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def folder_of(self, model: Model, python: Path) -> Path:
        """The folder with the model's only file. Raises CommandError when its library cannot write it."""
        key = f"{model}-{abs(hash(str(python)))}" if model is Model.IRIS else str(model)
        folder = self._folder / key
        if not folder.exists():
            folder.mkdir(parents=True)
            if model is Model.IRIS:
                run([python, _TRAINING, folder / "model.joblib"], env=environment(python, {}))
            elif model is Model.IMAGE:
                _write_identity(folder / "model.onnx")
            else:
                (folder / "model.py").write_text(_COMPUTE.replace("{function}", inspect.getsource(computed)))
        return folder

    def answers(self) -> Path:
        """The questions of iris with their answers, as JSON."""
        file = self._folder / "answers.json"
        if not file.exists():
            rows = [([float(str(value)) for value in each.input[0]], int(each.answer[0])) for each in iris_questions()]
            file.write_text(json.dumps(rows))
        return file


def _write_identity(path: Path) -> None:
    from onnx import TensorProto, helper, save

    image, copy = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, 224, 224]) for name in ("rows", "output-0")
    )
    graph = helper.make_graph([helper.make_node("Identity", ["rows"], ["output-0"])], "image", [image], [copy])
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
