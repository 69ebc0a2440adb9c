"""LitServe with one model that takes and gives v2 JSON."""

import argparse
from typing import Any

import joblib
import litserve
import numpy as np


class Api(litserve.LitAPI):
    """What the two models have in common: v2 JSON, and how rows become a batch."""

    model_name = ""
    datatype = ""

    def decode_request(self, request: dict[str, Any]) -> Any:
        tensor = request["inputs"][0]
        return np.asarray(tensor["data"], dtype=np.float32).reshape(tensor["shape"])

    def batch(self, inputs: list[Any]) -> Any:
        return np.concatenate(inputs)

    def unbatch(self, output: Any) -> list[Any]:
        return [output[row : row + 1] for row in range(len(output))]

    def encode_response(self, output: Any) -> dict[str, Any]:
        tensor = {"name": "output-0", "shape": output.shape, "datatype": self.datatype, "data": output.ravel().tolist()}
        return {"model_name": self.model_name, "outputs": [tensor]}


class Iris(Api):
    """scikit-learn's predict."""

    model_name, datatype, file = "iris", "INT64", ""

    def setup(self, device: str) -> None:
        self.model = joblib.load(self.file)

    def predict(self, x: Any) -> Any:
        return self.model.predict(x)


class Image(Api):
    """Answers its input."""

    model_name, datatype = "image", "FP32"

    def setup(self, device: str) -> None:
        pass

    def predict(self, x: Any) -> Any:
        return x


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("model", choices=("iris", "image"))
    parser.add_argument("file")
    parser.add_argument("port", type=int)
    parser.add_argument("--batch", type=int, default=1)
    wish = parser.parse_args()
    batching = {"max_batch_size": wish.batch, "batch_timeout": 0.002} if wish.batch > 1 else {}
    api = (Iris if wish.model == "iris" else Image)(api_path=f"/v2/models/{wish.model}/infer", **batching)
    api.file = wish.file
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1)
    server.run(host="127.0.0.1", port=wish.port, log_level="warning", generate_client_file=False)
