"""One path for every form of a request: SageMaker's /invocations and Vertex AI's predict route.

JSON is v2 where its inputs have datatypes, else v1, TF Serving's or MLflow's; `text/csv` is rows; Triton's content type
for SageMaker, `application/vnd.sagemaker-triton.binary+json;json-header-size=N`, is v2 with binary tensors.
"""

from __future__ import annotations

import csv
import io
import re
from typing import TYPE_CHECKING, Any, Final

from haizen_runtime.doors.http.codecs import JSON_LENGTH, V1Codec, decode_v2_binary, encode_v2, length_of
from haizen_runtime.doors.http.inference import check_json_or_octets, serve_inference
from haizen_runtime.doors.http.responses import Answer
from haizen_runtime.doors.http.targets import target_model
from haizen_runtime.protocol import v1_json, v2_binary, v2_json
from haizen_runtime.protocol.errors import InferenceFailed, InvalidInput
from haizen_runtime.protocol.messages import InferenceRequest, InferenceResponse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from haizen_runtime.doors.http.app import Call, Endpoint, HttpApp
    from haizen_runtime.engine.model import Model
    from haizen_runtime.protocol.limits import RequestLimits

TRITON: Final = b"application/vnd.sagemaker-triton.binary+json"
TRITON_LENGTH: Final = re.compile(rb";\s*json-header-size=([^;\s]*)")
CSV: Final = b"text/csv"


def invocations(app: HttpApp) -> Endpoint:
    """The endpoint."""

    async def invoke(call: Call) -> None:
        model = target_model(app.plane, call)
        codec = AnyCodec(call.headers, model, app.settings.limits)
        door = call.match.endpoint.partition(".")[0]
        await serve_inference(
            app, call, model, door, codec.decode, codec.encode, codec.check, max(codec.json_length or 0, 0)
        )

    return invoke


class AnyCodec:
    """One request of whatever form, and the answer in the form that goes with it."""

    def __init__(self, headers: Mapping[bytes, bytes], model: Model, limits: RequestLimits) -> None:
        self._model = model
        self._limits = limits
        self._v1: V1Codec | None = None
        content_type = headers.get(b"content-type", b"")
        self._kind = content_type.partition(b";")[0].strip().lower()
        self._wants_csv = headers.get(b"accept", b"").partition(b";")[0].strip().lower() == CSV
        header = headers.get(JSON_LENGTH)
        if self._kind == TRITON:
            found = TRITON_LENGTH.search(content_type)
            header = found[1] if found else b""
        self.json_length = None if header is None else length_of(header)
        """How long the JSON is before binary tensors; None when all is JSON, -1 for what is no number."""

    def check(self, content_type: bytes) -> None:
        """Refuse what is none of the forms."""
        if self._kind not in (CSV, TRITON):
            check_json_or_octets(content_type)

    def decode(self, body: bytes | memoryview) -> InferenceRequest:
        """From a body."""
        model, limits = self._model, self._limits
        if self._kind == CSV:
            self._v1 = V1Codec(model, limits)
            return self._v1.read({"instances": rows_of(bytes(body))})
        if self.json_length is not None:
            if self.json_length < 0 and self._kind == TRITON:
                raise InvalidInput("The content type has no json-header-size, the length of the JSON in bytes.")
            return decode_v2_binary(body, self.json_length, model, None, limits)
        payload = v1_json.open_body(body, limits.json_depth)
        if is_v2(payload):
            request = v2_json.request_from(payload, model.name, limits=limits)
            v2_binary.wants_binary(request)
            return request
        self._v1 = V1Codec(model, limits)
        return self._v1.decode(body) if model.takes_json else self._v1.read(from_dataframe(payload))

    def encode(self, response: InferenceResponse, request: InferenceRequest) -> bytes | Answer:
        """To a body."""
        if self._wants_csv:
            return Answer([csv_of(response)], (b"content-type", b"text/csv; charset=utf-8"))
        if self._v1 is not None:
            return self._v1.encode(response, request)
        answer = encode_v2(response, request)
        if self._kind == TRITON and isinstance(answer, Answer):
            length = dict(answer.headers)[JSON_LENGTH]
            return Answer(answer.pieces, (b"content-type", TRITON + b";json-header-size=" + length))
        return answer


def is_v2(payload: Mapping[str, Any]) -> bool:
    """Whether a body is of the Open Inference Protocol: its inputs are objects that say their datatypes."""
    inputs = payload.get("inputs")
    return type(inputs) is list and bool(inputs) and type(inputs[0]) is dict and "datatype" in inputs[0]


def from_dataframe(payload: dict[str, Any]) -> dict[str, Any]:
    """MLflow's `dataframe_records` and `dataframe_split` as `instances`; others as they are. Raises InvalidInput."""
    if "dataframe_records" in payload:
        return {**payload, "instances": payload["dataframe_records"]}
    if "dataframe_split" not in payload:
        return payload
    frame = payload["dataframe_split"]
    rows = frame.get("data") if type(frame) is dict else None
    if type(rows) is not list:
        raise InvalidInput('Expected "dataframe_split" to be an object with "columns" and "data", a list of rows.')
    columns = frame.get("columns")
    if columns is None:
        return {**payload, "instances": rows}
    if type(columns) is not list or not all(type(name) is str for name in columns):
        raise InvalidInput('Expected "columns" of "dataframe_split" to be a list of names.')
    for index, row in enumerate(rows):
        if type(row) is not list or len(row) != len(columns):
            raise InvalidInput(f'"dataframe_split": row {index} of "data" must be a list of {len(columns)} values.')
    return {**payload, "instances": [dict(zip(columns, row, strict=True)) for row in rows]}


def rows_of(body: bytes) -> list[list[Any]]:
    """The rows of a CSV body, without a head: numbers where all are. Raises InvalidInput."""
    try:
        text = body.decode("utf-8-sig")
        rows = [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidInput(f"The request body is not valid CSV: {error}.") from None
    if not rows:
        raise InvalidInput("The request body is empty; expected CSV, a row a line.")
    try:
        return [[float(cell) for cell in row] for row in rows]
    except ValueError:
        return [list(row) for row in rows]


def csv_of(response: InferenceResponse) -> bytes:
    """An answer as CSV: a line a row, the outputs side by side."""
    columns = []
    for tensor in response.outputs:
        if not tensor.shape or tensor.shape[0] != response.outputs[0].shape[0]:
            raise InferenceFailed(f'Output "{tensor.name}" of shape {list(tensor.shape)} cannot be written as CSV.')
        data = tensor.data.astype(str) if tensor.datatype in ("FP16", "FP32") else tensor.data  # the shortest digits
        columns.append(data.reshape(tensor.shape[0], -1).tolist())
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for parts in zip(*columns, strict=True):
        writer.writerow([_cell(value) for part in parts for value in part])
    return text.getvalue().encode()


def _cell(value: Any) -> Any:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
