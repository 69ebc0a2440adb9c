"""CloudEvents at the inference endpoints: the request is taken out of its event, and the answer put into one."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from haizen_runtime.doors.http.responses import Answer
from haizen_runtime.protocol import cloud_events
from haizen_runtime.protocol.errors import InvalidInput
from haizen_runtime.protocol.messages import InferenceRequest, InferenceResponse

if TYPE_CHECKING:
    from haizen_runtime.doors.http.codecs import Decode, Encode
    from haizen_runtime.doors.http.inference import Check
    from haizen_runtime.protocol.event_settings import EventSettings
    from haizen_runtime.protocol.limits import RequestLimits

STRUCTURED: Final = (b"content-type", cloud_events.STRUCTURED)


def is_event(headers: Mapping[bytes, bytes]) -> bool:
    """Whether a request is a CloudEvent."""
    if b"ce-id" in headers:
        return cloud_events.has_binary_headers(headers)
    content_type = headers.get(b"content-type", b"")
    return content_type != b"application/json" and cloud_events.is_structured(content_type)


class EventCodec:
    """Decodes one event and encodes the answer to it."""

    def __init__(
        self, headers: Mapping[bytes, bytes], settings: EventSettings, limits: RequestLimits, model: str
    ) -> None:
        self._headers = headers
        self._settings = settings
        self._limits = limits
        self._model = model
        self._attributes: dict[str, Any] = {}
        self._structured = not cloud_events.has_binary_headers(headers)

    def checker(self, check: Check) -> Check:
        """Take a structured event's content type, and leave the others to the door's own check."""

        def check_event(content_type: bytes) -> None:
            if not (self._structured and cloud_events.is_structured(content_type)):
                check(content_type)

        return check_event

    def decoder(self, decode: Decode) -> Decode:
        """From an event's body to a request."""

        def decode_event(body: bytes | memoryview) -> InferenceRequest:
            if self._structured:
                self._attributes, body = cloud_events.open_structured(body, self._limits)
            else:
                self._attributes = cloud_events.binary_attributes(self._headers, self._limits)
            return decode(body)

        return decode_event

    def encoder(self, encode: Encode) -> Encode:
        """From an answer to an event."""

        def encode_event(response: InferenceResponse, request: InferenceRequest) -> Answer:
            answer = encode(response, request)
            attributes = cloud_events.answer_attributes(
                self._attributes, self._settings, self._model, str(uuid.uuid4()), datetime.now(UTC).isoformat()
            )
            if not self._structured:
                return Answer.of(answer).with_headers(cloud_events.answer_headers(attributes))
            if isinstance(answer, Answer):
                raise InvalidInput("Binary outputs do not fit into a structured CloudEvent; ask for JSON.")
            return Answer([cloud_events.close_structured(attributes, answer)], STRUCTURED)

        return encode_event
