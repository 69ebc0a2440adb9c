"""A subclass of kserve.Model that does as it is told; served by KServe's own server and by haizen's workers."""

import asyncio
import os
import sys

sys.path.append(os.environ["KSERVE_PACKAGES"])  # haizen's own Python has no kserve

import kserve
import numpy as np
from fastapi import HTTPException
from kserve import InferOutput, InferResponse, errors

NUMPY = {"FP32": np.float32, "INT64": np.int64, "BYTES": object}


def response(datatype, values):
    output = InferOutput("scores", [len(values)], datatype)
    output.set_data_from_numpy(np.array(values, dtype=NUMPY[datatype]), binary_data=False)
    return InferResponse(response_id="r-1", model_name="iris", infer_outputs=[output])


def with_parameters():
    answer = response("INT64", [3])
    answer.parameters = {"took_ms": 3, "by": "rule", "cached": True}
    answer.outputs[0].parameters = {"unit": "points"}
    return answer


def word_of(payload):
    if isinstance(payload, dict):
        return payload["instances"][0]
    word = payload.inputs[0].data[0]
    return word.decode() if isinstance(word, bytes) else word


ANSWERS = {
    "dictionary": lambda payload: {"predictions": [1, 2]},
    "more-in-it": lambda payload: {"predictions": [[0.5, 1]], "took": {"ms": 3, "who": None}},
    "without-predictions": lambda payload: {"result": 7},
    "arrays": lambda payload: {"predictions": np.arange(3), "one": np.float32(0.5)},
    "nan": lambda payload: {"predictions": [float("nan")]},
    "list": lambda payload: [1, 2],
    "preprocessed": lambda payload: {"predictions": payload["seen"]},
    "floats": lambda payload: response("FP32", [1.5, 2.5]),
    "integers": lambda payload: response("INT64", [1, -2]),
    "texts": lambda payload: response("BYTES", ["a", "ü"]),
    "parameters": lambda payload: with_parameters(),
}
ERRORS = {
    "invalid": errors.InvalidInput("no such word"),
    "inference": errors.InferenceError("broke", status="S7"),
    "not-found": errors.ModelNotFound("rose"),
    "not-ready": errors.ModelNotReady("rose", "later"),
    "server-not-ready": errors.ServerNotReady("later"),
    "server-not-live": errors.ServerNotLive("never"),
    "protocol": errors.UnsupportedProtocol("v9"),
    "not-implemented": NotImplementedError("not yet"),
    "http": HTTPException(418, "short and stout"),
    "value": ValueError("bad value"),
}


def told(payload, headers):
    """What came beside the tensors."""
    said = [headers.get("x-tenant"), headers.get("authorization")]
    if isinstance(payload, dict):
        return {"predictions": said}
    return response("BYTES", [*said, payload.id, *(f"{name}={value}" for name, value in payload.parameters.items())])


HEADERS = {
    "headers": {
        "X-Cost": "7",
        "x-note": "grün",
        "content-length": "1",
        "content-type": "text/x-own",
        "date": "Mon, 01 Jan 2024 00:00:00 GMT",
    },
    "split-header": {"x-cost": "7\r\nx-evil: 1"},
    "named-header": {"x cost": "7"},
}


def answer(payload, headers, response_headers=None):
    word = word_of(payload)
    if word in HEADERS:
        if response_headers is not None:
            response_headers.update(HEADERS[word])
        return {"predictions": [1]} if isinstance(payload, dict) else response("INT64", [1])
    if word in ERRORS:
        raise ERRORS[word]
    return told(payload, headers) if word == "told" else ANSWERS[word](payload)


class Ordinary(kserve.Model):
    def preprocess(self, payload, headers=None):
        if isinstance(payload, dict):
            payload["seen"] = sorted(payload)
        return payload

    def __init__(self, name):
        super().__init__(name, return_response_headers=True)

    def predict(self, payload, headers=None, response_headers=None):
        return answer(payload, headers, response_headers)

    def postprocess(self, result, headers=None, response_headers=None):
        if isinstance(result, dict):
            result["after"] = True
        return result

    def explain(self, payload, headers=None):
        return answer(payload, headers)


class Coroutines(Ordinary):
    async def preprocess(self, payload, headers=None):
        await asyncio.sleep(0)
        return super().preprocess(payload, headers)

    async def predict(self, payload, headers=None, response_headers=None):
        await asyncio.sleep(0)
        return answer(payload, headers, response_headers)

    async def postprocess(self, result, headers=None, response_headers=None):
        await asyncio.sleep(0)
        return super().postprocess(result, headers, response_headers)

    async def explain(self, payload, headers=None):
        await asyncio.sleep(0)
        return answer(payload, headers)


if os.environ.get("COROUTINES"):

    class Model(Coroutines):
        """The one to serve."""

else:

    class Model(Ordinary):
        """The one to serve."""


if __name__ == "__main__":
    model = Model("iris")
    model.load()
    kserve.ModelServer(http_port=int(sys.argv[1]), enable_grpc=False).start([model])
