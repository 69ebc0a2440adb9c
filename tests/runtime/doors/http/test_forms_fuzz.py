"""Whatever comes as binary tensors, events, CSV or TensorFlow Serving's columns: no answer is a 5xx."""

from __future__ import annotations

from typing import Any

import httpx
import orjson
from hypothesis import given
from hypothesis import strategies as st

from tests.runtime.doors.conftest import check, fuzz

FUZZ = fuzz(100)

scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-9, 2**64 - 1), st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=5), st.sampled_from(["x", "FP64", 0, 1, 4, 16, 32]),
)  # fmt: skip
values = st.recursive(
    scalars,
    lambda each: st.one_of(
        st.lists(each, max_size=5), st.dictionaries(st.text(max_size=4) | st.just("b64"), each, max_size=3)
    ),
    max_leaves=12,
)
parameters = st.fixed_dictionaries(
    {}, optional={"binary_data_size": st.sampled_from([0, 4, 16, 32, 33]) | scalars, "binary_data": scalars}
)
tensors = st.fixed_dictionaries(
    {"name": st.sampled_from(["x", "y"])},
    optional={
        "shape": st.sampled_from([[1, 4], [2, 4], [0, 4], [4], []]) | values, "data": values, "parameters": parameters,
        "datatype": st.sampled_from(["FP64", "FP32", "FP16", "BF16", "INT64", "BOOL", "BYTES"]) | scalars,
    },
)  # fmt: skip
v2_bodies = st.fixed_dictionaries(
    {"inputs": st.lists(tensors, max_size=2)},
    optional={
        "outputs": st.lists(
            st.fixed_dictionaries({"name": st.just("output-0")}, optional={"parameters": parameters}), max_size=2
        ),
        "parameters": st.fixed_dictionaries({}, optional={"binary_data_output": st.booleans() | scalars}),
    },
)
v1_bodies = st.fixed_dictionaries(
    {},
    optional={
        "instances": values, "inputs": st.one_of(values, st.dictionaries(st.text(max_size=2), values, max_size=2)),
        "signature_name": st.sampled_from(["", "serving_default"]) | scalars, "parameters": values,
    },
)  # fmt: skip
attributes = st.dictionaries(
    st.sampled_from(["specversion", "id", "source", "type", "time", "x", "data_base64"]),
    st.sampled_from(["1.0", "0.3", "e30=", "%%"]) | scalars, max_size=6,
)  # fmt: skip
paths = st.sampled_from([
    "/v2/models/iris/infer", "/v1/models/iris:predict", "/v1/models/iris/versions/1:predict", "/invocations",
    "/v2/repository/index",
])  # fmt: skip
event_headers = st.dictionaries(
    st.sampled_from(["ce-id", "ce-source", "ce-type", "ce-specversion", "ce-x"]),
    st.sampled_from(["1.0", "a", "%ff", "%"]), max_size=5,
)  # fmt: skip
types = st.sampled_from([
    "application/json", "application/octet-stream", "application/cloudevents+json", "text/csv", "",
    "application/vnd.sagemaker-triton.binary+json;json-header-size=2", "application/cloudevents-batch+json",
])  # fmt: skip


@FUZZ
@given(body=v2_bodies, tail=st.binary(max_size=40), off=st.sampled_from([0, 0, 0, 1, -1, 99]), path=paths)
def test_binary_tensors(iris_runtime: Any, client: httpx.Client, body: Any, tail: bytes, off: int, path: str) -> None:
    head = orjson.dumps(body)
    headers = {"inference-header-content-length": str(len(head) + off)}
    check(iris_runtime, client.post(iris_runtime.url + path, content=head + tail, headers=headers))


@FUZZ
@given(
    body=st.one_of(v1_bodies, v2_bodies, values), event=attributes, outer=st.booleans(), path=paths, kind=types,
    headers=event_headers,
)  # fmt: skip
def test_events(
    iris_runtime: Any, client: httpx.Client,
    body: Any, event: dict[str, Any], outer: bool, path: str, kind: str, headers: dict[str, str],
) -> None:  # fmt: skip
    content = orjson.dumps({**event, "data": body} if outer else body)
    extra = {**headers, "content-type": kind, "accept": "text/csv" if outer else "*/*"}
    check(iris_runtime, client.post(iris_runtime.url + path, content=content, headers=extra))


@FUZZ
@given(text=st.text(st.sampled_from('0123456789.,e-" \r\n\0äx'), max_size=60) | st.text(max_size=30))
def test_csv(iris_runtime: Any, client: httpx.Client, text: str) -> None:
    content = text.encode("utf-8", "surrogatepass")
    check(iris_runtime, client.post(
        iris_runtime.url + "/invocations", content=content, headers={"content-type": "text/csv", "accept": "text/csv"}
    ))  # fmt: skip


def test_nothing_of_this_was_a_failure_of_the_server(iris_runtime: Any) -> None:
    assert "Traceback" not in iris_runtime.log
