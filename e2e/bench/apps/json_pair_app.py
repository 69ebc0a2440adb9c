"""`json_pair_app.py FILE [PARSE DUMP SECONDS]`: how fast libraries parse an image's request into an array and dump it.

Without names it times all of them and prints seconds by name; with a pair, how many times a second that pair is done.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import orjson
import rapidjson
import simdjson
import ujson
import yyjson

Array = Any
SHAPE = [1, 3, 224, 224]


class Tensor(msgspec.Struct):
    """An input; what it has beside its values is skipped."""

    data: list[float]


class Request(msgspec.Struct):
    """A request with inputs."""

    inputs: list[Tensor]


_parser = simdjson.Parser()
_decoder = msgspec.json.Decoder(Request)
_encoder = msgspec.json.Encoder()


def _values(document: Any) -> Array:
    return np.array(document["inputs"][0]["data"], dtype=np.float32)


def _simdjson(body: bytes) -> Array:
    buffer = _parser.parse(body)["inputs"][0]["data"].as_buffer(of_type="d")
    return np.frombuffer(buffer, dtype=np.float64).astype(np.float32)


PARSERS: dict[str, Callable[[bytes], Array]] = {
    "json": lambda body: _values(json.loads(body)),
    "orjson": lambda body: _values(orjson.loads(body)),
    "simdjson": _simdjson,
    "msgspec": lambda body: np.array(_decoder.decode(body).inputs[0].data, dtype=np.float32),
    "ujson": lambda body: _values(ujson.loads(body)),
    "rapidjson": lambda body: _values(rapidjson.loads(body)),
    "yyjson": lambda body: _values(yyjson.loads(body)),
}
DUMPERS: dict[str, Callable[[Array], bytes]] = {
    "json": lambda array: json.dumps(_answer(array.tolist())).encode(),
    "orjson": lambda array: orjson.dumps(_answer(array), option=orjson.OPT_SERIALIZE_NUMPY),
    "orjson of a list": lambda array: orjson.dumps(_answer(array.tolist())),
    "msgspec": lambda array: _encoder.encode(_answer(array.tolist())),
    "ujson": lambda array: ujson.dumps(_answer(array.tolist())).encode(),
    "rapidjson": lambda array: rapidjson.dumps(_answer(array.tolist())).encode(),
    "yyjson": lambda array: yyjson.dumps(_answer(array.tolist())).encode(),
}


def _answer(values: Any) -> dict[str, Any]:
    output = {"name": "output-0", "shape": SHAPE, "datatype": "FP32", "data": values}
    return {"model_name": "image", "outputs": [output]}


def quickest(action: Callable[[Any], Any], value: Any, times: int = 7) -> float:
    """Seconds of the quickest call."""
    seconds = []
    for _ in range(times):
        begin = time.perf_counter()
        action(value)
        seconds.append(time.perf_counter() - begin)
    return min(seconds)


def main() -> None:
    """Print the figures as JSON."""
    body = Path(sys.argv[1]).read_bytes()
    right = _values(json.loads(body))
    for name, parse in PARSERS.items():
        assert np.array_equal(parse(body), right), name
    for name, dump in DUMPERS.items():
        assert np.array_equal(np.array(json.loads(dump(right))["outputs"][0]["data"], dtype=np.float32), right), name
    if len(sys.argv) == 2:
        times = {
            "parse": {name: quickest(parse, body) for name, parse in PARSERS.items()},
            "dump": {name: quickest(dump, right) for name, dump in DUMPERS.items()},
        }
        print(json.dumps(times))
        return
    parse, dump, limit = PARSERS[sys.argv[2]], DUMPERS[sys.argv[3]], float(sys.argv[4])
    begin, done = time.perf_counter(), 0
    while (passed := time.perf_counter() - begin) < limit or not done:
        dump(parse(body))
        done += 1
    print(json.dumps({"times": done, "seconds": passed}))


if __name__ == "__main__":
    main()
