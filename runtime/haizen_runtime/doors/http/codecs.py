"""Bodies of v1 and v2 to requests, and answers to bodies: the codecs of `protocol` with what HTTP's headers say."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from haizen_runtime.doors.http.responses import OCTETS, Answer
from haizen_runtime.engine.json_bodies import body_answer, body_request
from haizen_runtime.protocol import tf_json, v1_json, v2_binary, v2_json
from haizen_runtime.protocol.errors import InvalidInput
from haizen_runtime.protocol.messages import InferenceRequest, InferenceResponse

if TYPE_CHECKING:
    from haizen_runtime.engine.model import Model
    from haizen_runtime.protocol.limits import RequestLimits

Decode = Callable[[bytes | memoryview], InferenceRequest]
Encode = Callable[[InferenceResponse, InferenceRequest], bytes | Answer]

JSON_LENGTH: Final = b"inference-header-content-length"
"""How long the JSON is in a body or an answer with binary tensors behind it."""


def length_of(header: bytes) -> int:
    """The length of a body's JSON; -1 for what is no number."""
    return int(header) if header.isdigit() and len(header) < 20 else -1


class V1Codec:
    """One request of KServe's v1 or TF Serving's predict, and the answer in the form of the request."""

    __slots__ = ("_columnar", "_limits", "_model", "_takes_json", "_version")

    def __init__(self, model: Model, limits: RequestLimits, version: str | None = None) -> None:
        self._model = model
        self._limits = limits
        self._version = version
        self._columnar = False
        self._takes_json = False

    def decode(self, body: bytes | memoryview) -> InferenceRequest:
        """From a body; as it is for models that take any JSON."""
        self._takes_json = self._model.takes_json  # of this request: the model may be reloaded before the answer
        if self._takes_json:
            request = body_request(body, self._model.name, self._limits.json_depth)
            request.version = self._version
            return request
        return self.read(v1_json.open_body(body, self._limits.json_depth))

    def read(self, payload: dict[str, Any]) -> InferenceRequest:
        """From the object in a body."""
        model = self._model
        tf_json.check_signature(payload)
        if "instances" not in payload and tf_json.is_columnar(payload, self._version is not None):
            self._columnar = True
            request = v1_json.request_from_columns(payload, model.name, model.metadata, self._limits)
        else:
            request = v1_json.request_from(payload, model.name, model.metadata, self._limits)
        request.version = self._version
        return request

    def encode(self, response: InferenceResponse, request: InferenceRequest) -> bytes:
        """To a body."""
        if self._takes_json and (body := body_answer(response)) is not None:
            return body
        if self._columnar:
            return tf_json.encode_columns(v1_json.output_values(response))
        return v1_json.encode_response(response)


def decode_v2(body: bytes | memoryview, model: str, version: str | None, limits: RequestLimits) -> InferenceRequest:
    """A request that is all JSON."""
    request = v2_json.decode_request(body, model, version, None, limits)
    if request.parameters or request.outputs:
        v2_binary.wants_binary(request)
    return request


def decode_v2_binary(
    body: bytes | memoryview, length: int, model: Model, version: str | None, limits: RequestLimits
) -> InferenceRequest:
    """A request with `length` bytes of JSON and tensors behind it; -1 stands for a length that is no number."""
    if length < 0:
        raise InvalidInput("The header Inference-Header-Content-Length is not a number of bytes.")
    if length == 0:
        return v2_binary.decode_raw_request(body, model.name, version, model.metadata, model.batchable)
    request = v2_binary.decode_binary_request(body, length, model.name, version, limits)
    v2_binary.wants_binary(request)
    return request


def encode_v2(response: InferenceResponse, request: InferenceRequest) -> bytes | Answer:
    """An answer as v2 JSON, or with binary outputs when the request wants them."""
    if not request.parameters and not request.outputs:
        return v2_json.encode_response(response)
    answer = v2_binary.encode_answer(response, request)
    if isinstance(answer, bytes):
        return answer
    return Answer(answer.pieces, OCTETS, [(JSON_LENGTH, b"%d" % answer.json_length)])
