"""kubectl apply of the digits classifier, first as scikit-learn, then as ONNX."""

import httpx
import joblib
import numpy as np
import onnxruntime

from e2e import digits, grpc_client
from e2e.context import Context
from e2e.stories import story

COUNT = 100


@story("apply", "apply digits: sklearn, then onnx", main=True, order=10)
def apply_digits(context: Context) -> None:
    """Ready, and 100 real digits through v1, v2 and gRPC give exactly the local model's answers."""
    trained = digits.train(context.workspace / "digits")
    context.store.upload({"digits/sklearn/model.joblib": trained.sklearn, "digits/onnx/model.onnx": trained.onnx})
    images = digits.samples(COUNT)

    expected = joblib.load(trained.sklearn).predict(images).tolist()
    context.kubectl.apply(context.inference_service("digits", context.store.uri("digits/sklearn")))
    context.wait_ready("digits")
    ask_v1(context, "digits", images, expected)
    ask_v2(context, "digits", images, expected)
    ask_grpc(context, "digits", images, expected)

    session = onnxruntime.InferenceSession(str(trained.onnx))
    onnx_expected = session.run(None, {session.get_inputs()[0].name: images.astype(np.float32)})[0].tolist()
    context.kubectl.apply(context.inference_service("digits-onnx", context.store.uri("digits/onnx"), "onnx"))
    context.wait_ready("digits-onnx")
    ask_v2(context, "digits-onnx", images, onnx_expected)
    ask_v1(context, "digits-onnx", images, onnx_expected)
    ask_grpc(context, "digits-onnx", images, onnx_expected)
    equal = f"{6 * COUNT} of {6 * COUNT} (sklearn and onnx; v1, v2 and v2 over gRPC)"
    context.note("answers equal to the local model's", equal)


def ask_v1(context: Context, name: str, images: np.ndarray, expected: list[int]) -> None:
    """Compare v1 predictions with what is expected, all at once."""
    answer = context.post(name, f"/v1/models/{name}:predict", digits.v1_body(images))
    assert answer.status_code == 200, answer.text
    predictions = answer.json()["predictions"]
    labels = [item.get("label", item.get("output_label")) if isinstance(item, dict) else item for item in predictions]
    assert labels == expected, f"{name} through v1: {labels} instead of {expected}"


def ask_v2(context: Context, name: str, images: np.ndarray, expected: list[int]) -> None:
    """Compare v2 outputs with what is expected, by the names and datatypes that the model's own metadata tells."""
    tensor = input_of(context, name)
    answer = context.post(name, f"/v2/models/{name}/infer", digits.v2_body(images, tensor["name"], tensor["datatype"]))
    assert answer.status_code == 200, answer.text
    labels = answer.json()["outputs"][0]["data"]
    assert labels == expected, f"{name} through v2: {labels} instead of {expected}"


def ask_grpc(context: Context, name: str, images: np.ndarray, expected: list[int]) -> None:
    """The same over gRPC, on the same URL, with raw contents."""
    tensor = input_of(context, name)
    array = images.astype({"FP32": np.float32, "FP64": np.float64}[tensor["datatype"]])
    request = grpc_client.infer_request(name, tensor["name"], tensor["datatype"], array)
    answer = grpc_client.infer(context.gateway.removeprefix("http://"), context.host(name), request)
    labels = np.frombuffer(grpc_client.raw_outputs(answer)[0], dtype=np.int64).tolist()
    assert labels == expected, f"{name} over gRPC: {labels} instead of {expected}"


def input_of(context: Context, name: str) -> dict[str, str]:
    """What the model's metadata says about its first input."""
    answer = httpx.get(f"{context.gateway}/v2/models/{name}", headers={"Host": context.host(name)}, timeout=60)
    found: dict[str, str] = answer.json()["inputs"][0]
    return found
