"""CloudEvents over HTTP as KServe's server takes and gives them: an event in, an event of the same mode out. Pure.

Binary mode: the attributes are `ce-` headers and the body is the request. Structured mode: the body is an object with
the attributes and the request under `data`. KServe's rules: an event is answered by an event, whose id and time are
new; CE_MERGE keeps the other attributes of the request's event, CE_TYPE and CE_SOURCE set what they say.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, unquote

import orjson

from haizen_runtime.protocol.errors import InvalidInput
from haizen_runtime.protocol.event_settings import EventSettings
from haizen_runtime.protocol.json_body import parse_object
from haizen_runtime.protocol.limits import DEFAULT_LIMITS, RequestLimits

STRUCTURED: Final = b"application/cloudevents+json"
PREFIX: Final = b"ce-"
REQUIRED: Final = ("specversion", "id", "source", "type")
SPEC_VERSIONS: Final = ("1.0", "0.3")


def is_structured(content_type: bytes) -> bool:
    """Whether a content type says that the body is an event (not a batch of them)."""
    return content_type.split(b";", 1)[0].strip().lower() == STRUCTURED


def has_binary_headers(headers: Mapping[bytes, bytes]) -> bool:
    """Whether the headers are an event's (KServe's rule: all four required ones are there)."""
    return all(b"ce-" + name.encode() in headers for name in REQUIRED)


def binary_attributes(headers: Mapping[bytes, bytes], limits: RequestLimits = DEFAULT_LIMITS) -> dict[str, Any]:
    """The attributes in `ce-` headers. Raises InvalidInput for an unknown version, or too many attributes."""
    attributes: dict[str, Any] = {
        name[len(PREFIX) :].decode("latin-1"): unquote(value.decode("latin-1"))
        for name, value in headers.items()
        if name.startswith(PREFIX)
    }
    _check(attributes, limits)
    return attributes


def open_structured(body: bytes | memoryview, limits: RequestLimits = DEFAULT_LIMITS) -> tuple[dict[str, Any], bytes]:
    """The attributes of a structured event, and its data as JSON. Raises InvalidInput."""
    attributes = parse_object(body, limits.json_depth)
    missing = [name for name in REQUIRED if not isinstance(attributes.get(name), str)]
    if missing:
        raise InvalidInput(f"The CloudEvent has no {' and no '.join(missing)}; each must be a string.")
    has_data, data = "data" in attributes, attributes.pop("data", None)
    encoded = attributes.pop("data_base64", None)
    _check(attributes, limits)
    if has_data:
        return attributes, orjson.dumps(data)
    if not isinstance(encoded, str):
        raise InvalidInput("The CloudEvent has no data; expected the request there, an object.")
    try:
        return attributes, base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidInput("The CloudEvent's data_base64 is not valid base64.") from None


def data_of(payload: dict[str, Any]) -> dict[str, Any]:
    """What is inside a body that looks like a structured event, whatever its content type says (KServe's rule)."""
    if not {"time", "data", *REQUIRED} <= payload.keys():
        return payload
    data = payload["data"]
    if type(data) is not dict:
        raise InvalidInput("The CloudEvent's data must be an object.")
    return data


def answer_attributes(
    request: Mapping[str, Any], settings: EventSettings, model: str, event_id: str, time: str
) -> dict[str, Any]:
    """The attributes of the answer to an event."""
    merged = {key: value for key, value in request.items() if key != "datacontenttype"} if settings.merge else {}
    return {
        **merged,
        "specversion": "1.0",
        "id": event_id,
        "time": time,
        "type": settings.type,
        "source": settings.source or f"io.kserve.inference.{model}",
    }


def answer_headers(attributes: Mapping[str, Any]) -> list[tuple[bytes, bytes]]:
    """The headers of an answer in binary mode, percent-encoded as CloudEvents wants it."""
    return [
        (PREFIX + name.encode("latin-1", "replace"), quote(str(value), safe=_SAFE).encode())
        for name, value in attributes.items()
    ]


def close_structured(attributes: Mapping[str, Any], data: bytes) -> bytes:
    """The body of an answer in structured mode, around its JSON."""
    return orjson.dumps({**attributes, "datacontenttype": "application/json", "data": orjson.Fragment(data)})


_SAFE: Final = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"%')


def _check(attributes: Mapping[str, Any], limits: RequestLimits) -> None:
    version = attributes["specversion"]
    if version not in SPEC_VERSIONS:
        raise InvalidInput(f"The CloudEvent's specversion is {str(version)[:40]}; 1.0 is known here.")
    count, most = len(attributes), limits.event_attributes
    if count > most:
        raise InvalidInput(f"The CloudEvent has {count} attributes; at most {most} are accepted.")
