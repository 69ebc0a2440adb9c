"""`python tiny_models.py FORMAT FOLDER`: a tiny model, a v2 request for it, and what its own library answers.

Runs in the image that is tried, with the libraries that are there and none of haizen's code. Below FOLDER it writes
`model/`, `request.json` and `expected.json`, where outputs are flat lists by name.
"""

import json
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROWS = np.random.default_rng(5).uniform(-2, 2, (6, 4)).astype(np.float32)
"""What is asked, float32 [6, 4]."""
LABELS = np.array([0, 1, 2, 0, 1, 2])
COLUMNS = ["a", "b", "c", "d"]
DATATYPES = {"float32": "FP32", "float64": "FP64", "object": "BYTES"}
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "the", "film", "was", "good", "bad"]
TEXTS = ["the film was good", "bad"]

Arrays = dict[str, Any]
Maker = Callable[[Path], tuple[Arrays, Arrays]]
"""Writes a model into the folder; returns a request's inputs and the library's outputs, by name."""


def sklearn(folder: Path) -> tuple[Arrays, Arrays]:
    import joblib
    from sklearn.tree import DecisionTreeClassifier

    model = DecisionTreeClassifier(random_state=0).fit(ROWS, LABELS)
    joblib.dump(model, folder / "model.joblib")
    return {"input-0": ROWS}, {"output-0": model.predict(ROWS)}


def skops(folder: Path) -> tuple[Arrays, Arrays]:
    import skops.io
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression().fit(ROWS, LABELS)
    skops.io.dump(model, folder / "model.skops")
    return {"input-0": ROWS}, {"output-0": model.predict(ROWS)}


def xgboost(folder: Path) -> tuple[Arrays, Arrays]:
    import xgboost as library

    model = library.train({"nthread": 1}, library.DMatrix(ROWS, LABELS), num_boost_round=3)
    model.save_model(folder / "model.ubj")
    return {"input-0": ROWS}, {"output-0": model.predict(library.DMatrix(ROWS))}


def lightgbm(folder: Path) -> tuple[Arrays, Arrays]:
    import lightgbm as library

    settings = {"verbose": -1, "num_threads": 1, "min_data_in_leaf": 1, "min_data_in_bin": 1}
    model = library.train(settings, library.Dataset(ROWS, LABELS), num_boost_round=3)
    model.save_model(folder / "model.txt")
    return {"input-0": ROWS}, {"output-0": model.predict(ROWS)}


def onnx(folder: Path) -> tuple[Arrays, Arrays]:
    """Made outside of the images, none of which has the package onnx."""
    import onnxruntime
    from onnx import TensorProto, helper, save

    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", width]) for name, width in (("x", 4), ("y", 3))
    ]
    weights = helper.make_tensor("w", TensorProto.FLOAT, [4, 3], np.linspace(-1, 1, 12).tolist())
    nodes = [helper.make_node("MatMul", ["x", "w"], ["z"]), helper.make_node("Softmax", ["z"], ["y"], axis=1)]
    graph = helper.make_graph(nodes, "tiny", ends[:1], ends[1:], [weights])
    path = folder / "model.onnx"
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return {"x": ROWS}, dict(zip(["y"], session.run(["y"], {"x": ROWS}), strict=True))


def python(folder: Path) -> tuple[Arrays, Arrays]:
    text = "from haizen_runtime import Model\n\n\nclass Doubled(Model):\n    def predict(self, inputs):\n"
    (folder / "model.py").write_text(text + '        return {"doubled": inputs["x"] * 2}\n')
    return {"x": ROWS}, {"doubled": ROWS * 2}


def pytorch(folder: Path) -> tuple[Arrays, Arrays]:
    import torch

    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3)).eval()
    rows = {0: torch.export.Dim("rows")}
    torch.export.save(torch.export.export(net, (torch.zeros(2, 4),), dynamic_shapes=(rows,)), folder / "model.pt2")
    with torch.inference_mode():
        return {"INPUT__0": ROWS}, {"OUTPUT__0": net(torch.from_numpy(ROWS)).numpy()}


def huggingface(folder: Path) -> tuple[Arrays, Arrays]:
    import torch
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers

    torch.manual_seed(0)
    words = Tokenizer(models.WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=words, model_max_length=16, **special)
    config = transformers.BertConfig(
        vocab_size=len(WORDS), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=16, num_labels=3, initializer_range=1.0,
    )  # fmt: skip
    model = transformers.BertForSequenceClassification(config).eval()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    with torch.inference_mode():
        logits = model(**tokenizer(TEXTS, padding=True, return_tensors="pt")).logits
    return {"text": np.array(TEXTS, object)}, {"output-0": logits.argmax(1).numpy()}


def tensorflow(folder: Path) -> tuple[Arrays, Arrays]:
    import tensorflow as tf

    class Net(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weights = tf.Variable(np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3))

        @tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float32, name="x")])
        def serve(self, x: Any) -> Any:
            return {"y": tf.nn.softmax(tf.matmul(x, self.weights))}

    net = Net()
    tf.saved_model.save(net, str(folder), signatures={"serving_default": net.serve})
    return {"x": ROWS}, {"y": net.serve(tf.constant(ROWS))["y"].numpy()}


def paddle(folder: Path) -> tuple[Arrays, Arrays]:
    import paddle as library

    library.seed(0)
    net = library.nn.Sequential(library.nn.Linear(4, 8), library.nn.ReLU(), library.nn.Linear(8, 3))
    net.eval()
    library.jit.save(net, str(folder / "model"), input_spec=[library.static.InputSpec([None, 4], "float32", "x")])
    return {"x": ROWS}, {"output-0": net(library.to_tensor(ROWS)).numpy()}


def openvino(folder: Path) -> tuple[Arrays, Arrays]:
    import openvino as library
    from openvino import opset13 as ops

    parameter = ops.parameter([-1, 4], np.float32, name="x")
    weights = ops.constant(np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3))
    answer = ops.softmax(ops.matmul(parameter, weights, False, False), 1)
    parameter.output(0).set_names({"x"})
    answer.output(0).set_names({"y"})
    model = library.Model([answer], [parameter], "tiny")
    library.save_model(model, str(folder / "model.xml"), compress_to_fp16=False)
    return {"x": ROWS}, {"y": library.compile_model(model, "CPU")([ROWS])[0]}


def mlflow(folder: Path) -> tuple[Arrays, Arrays]:
    import mlflow as library
    import pandas
    from mlflow.models import infer_signature
    from sklearn.tree import DecisionTreeClassifier

    frame = pandas.DataFrame(ROWS.astype(float), columns=COLUMNS)
    model = DecisionTreeClassifier(random_state=0).fit(frame, LABELS)
    signature = infer_signature(frame, model.predict(frame))
    folder.rmdir()  # MLflow makes it itself
    library.sklearn.save_model(
        model, str(folder), signature=signature, pip_requirements=[], serialization_format="cloudpickle"
    )
    answer = library.pyfunc.load_model(str(folder)).predict(frame)
    return {name: frame[name].to_numpy() for name in COLUMNS}, {"output-0": answer}


def catboost(folder: Path) -> tuple[Arrays, Arrays]:
    import catboost as library

    model = library.CatBoostRegressor(iterations=5, verbose=0, thread_count=1, allow_writing_files=False)
    model.fit(ROWS, LABELS)
    model.save_model(str(folder / "model.cbm"))
    return {"input-0": ROWS.astype(float)}, {"output-0": model.predict(ROWS)}


def pmml(folder: Path) -> tuple[Arrays, Arrays]:
    from pypmml import Model

    fields = "".join(f'<DataField name="{name}" optype="continuous" dataType="double"/>' for name in [*COLUMNS, "y"])
    used = "".join(f'<MiningField name="{name}"/>' for name in COLUMNS) + '<MiningField name="y" usageType="target"/>'
    terms = "".join(f'<NumericPredictor name="{name}" coefficient="{index}.5"/>' for index, name in enumerate(COLUMNS))
    path = folder / "model.pmml"
    path.write_text(
        '<?xml version="1.0"?><PMML xmlns="http://www.dmg.org/PMML-4_4" version="4.4"><Header/>'
        f"<DataDictionary>{fields}</DataDictionary><RegressionModel functionName='regression'><MiningSchema>{used}"
        f"</MiningSchema><RegressionTable intercept='1'>{terms}</RegressionTable></RegressionModel></PMML>"
    )
    rows = ROWS.astype(float)
    answers = Model.load(str(path)).predict(rows.tolist())
    return {"input-0": rows}, {"predicted_y": np.array(answers, float)}


MAKERS: dict[str, Maker] = {
    maker.__name__: maker
    for maker in (
        catboost, huggingface, lightgbm, mlflow, onnx, openvino, paddle, pmml, python, pytorch, sklearn, skops,
        tensorflow, xgboost,
    )
}  # fmt: skip


def main(name: str, folder: Path) -> None:
    """Write what a trial of the format needs."""
    warnings.simplefilter("ignore")
    model = folder / "model"
    model.mkdir()
    inputs, outputs = MAKERS[name](model)
    tensors = [
        {"name": each, "datatype": DATATYPES[value.dtype.name], "shape": value.shape, "data": value.ravel().tolist()}
        for each, value in inputs.items()
    ]
    (folder / "request.json").write_text(json.dumps({"inputs": tensors}))
    expected = {each: np.ravel(value).tolist() for each, value in outputs.items()}
    (folder / "expected.json").write_text(json.dumps(expected))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
