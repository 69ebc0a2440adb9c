"""A request body as JSON: parsed once, with a limit on its depth and errors that say where."""

from __future__ import annotations

import re
from typing import Any, Final

import orjson

from haizen_runtime.protocol.errors import InvalidInput
from haizen_runtime.protocol.limits import DEFAULT_LIMITS

_NO_BRACKET: Final = re.compile(rb'"(?:[^"\\]|\\.)*"|[^\[\]{}"]+')


def parse_object(body: bytes | bytearray | memoryview, max_depth: int = DEFAULT_LIMITS.json_depth) -> dict[str, Any]:
    """The JSON object in a body of at most `max_depth` levels; raises InvalidInput that says where what is wrong."""
    if not body:
        raise InvalidInput("The request body is empty; expected a JSON object.")
    raw = bytes(body)
    if len(raw) > max_depth and raw.count(b"[") + raw.count(b"{") > max_depth and _depth(raw) > max_depth:
        raise InvalidInput(f"The JSON body nests deeper than {max_depth} levels.")
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise InvalidInput(f"The request body is not valid JSON: {error}.") from None
    if type(value) is not dict:
        raise InvalidInput("The request body must be a JSON object.")
    return value


def _depth(raw: bytes) -> int:
    """How deep the brackets outside strings nest."""
    import numpy as np

    brackets = np.frombuffer(_NO_BRACKET.sub(b"", raw), dtype=np.uint8)
    opening = (brackets == ord("[")) | (brackets == ord("{"))
    return int(np.cumsum(np.where(opening, 1, -1)).max(initial=0))
