"""KServe's SDK server with one model, as its own scikit-learn server is written; latency logging off."""

import argparse
import asyncio

import joblib
import kserve
from kserve import InferOutput, InferRequest, InferResponse
from kserve.utils.utils import get_predict_response


class Iris(kserve.Model):
    """scikit-learn's predict."""

    def __init__(self, file: str) -> None:
        super().__init__("iris")
        self.model = joblib.load(file)
        self.ready = True

    def predict(self, payload: InferRequest, headers: dict[str, str] | None = None) -> InferResponse:
        return get_predict_response(payload, self.model.predict(payload.inputs[0].as_numpy()), self.name)


class Image(kserve.Model):
    """Answers its input."""

    def __init__(self) -> None:
        super().__init__("image")
        self.ready = True

    def predict(self, payload: InferRequest, headers: dict[str, str] | None = None) -> InferResponse:
        array = payload.inputs[0].as_numpy()
        output = InferOutput("output-0", list(array.shape), "FP32")
        output.set_data_from_numpy(array, binary_data=payload.use_binary_outputs)
        return InferResponse(payload.id, self.name, [output])


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("model", choices=("iris", "image"))
    parser.add_argument("file")
    parser.add_argument("http", type=int)
    parser.add_argument("grpc", type=int)
    wish = parser.parse_args()
    server = kserve.ModelServer(
        http_port=wish.http, grpc_port=wish.grpc, workers=1, enable_grpc=True, enable_latency_logging=False
    )
    asyncio.set_event_loop(asyncio.new_event_loop())
    server.start([Iris(wish.file) if wish.model == "iris" else Image()])
