"""Triton through pytriton with one model; batching as it is shipped, or up to 32 rows after 2 ms."""

import argparse
from typing import Any

import joblib
import numpy as np
from pytriton.decorators import batch
from pytriton.model_config import DynamicBatcher, ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("model", choices=("iris", "image"))
    parser.add_argument("file")
    parser.add_argument("http", type=int)
    parser.add_argument("grpc", type=int)
    parser.add_argument("--batch", action="store_true")
    parser.add_argument("--folder", required=True)
    wish = parser.parse_args()
    model = joblib.load(wish.file) if wish.model == "iris" else None

    @batch
    def iris(rows: Any) -> list[Any]:
        """scikit-learn's predict."""
        return [model.predict(rows)[:, np.newaxis]]

    @batch
    def image(rows: Any) -> list[Any]:
        """Answers its input."""
        return [rows]

    is_iris = wish.model == "iris"
    own = ModelConfig(max_batch_size=32, batcher=DynamicBatcher(max_queue_delay_microseconds=2000))
    ports = {"http_port": wish.http, "grpc_port": wish.grpc, "allow_metrics": False}
    with Triton(config=TritonConfig(log_verbose=0, **ports), workspace=wish.folder) as triton:
        triton.bind(
            wish.model,
            infer_func=iris if is_iris else image,
            inputs=[Tensor(name="rows", dtype=np.float32, shape=(4,) if is_iris else (3, 224, 224))],
            outputs=[
                Tensor(
                    name="answer",
                    dtype=np.int64 if is_iris else np.float32,
                    shape=(1,) if is_iris else (3, 224, 224),
                )
            ],
            config=own if wish.batch else ModelConfig(),
        )
        triton.serve()
