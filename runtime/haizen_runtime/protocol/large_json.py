"""Large v2 bodies: their numbers go into arrays straight from the text, with no Python object for each.

simdjson reads them so. Whatever it does not take as it is (nested data, null, numbers that are no numbers of the
datatype, a body that is no JSON) is left to the ordinary way, which knows what to say about it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import numpy as np

LARGE_BYTES: Final = 16 * 1024
"""Below this size the ordinary way costs less than the second parser."""
_KEPT_BYTES: Final = 16 * 1024 * 1024
"""A parser keeps memory as large as the largest body that it read: beyond this, it is not kept."""
MOST_INPUTS: Final = 64
"""With more brackets than so many inputs have, the data are taken to be nested, and the body is not parsed for that."""
_OPENING: Final = ord("[")
_FLOATS: Final = ("d", np.dtype(np.float64))
_TYPES: Final = {
    "FP32": _FLOATS, "FP64": _FLOATS,
    **dict.fromkeys(("INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32"), ("i", np.dtype(np.int64))),
    "UINT64": ("u", np.dtype(np.uint64)),
}  # fmt: skip
"""How the numbers of a datatype are read: simdjson's letter, and what that is to numpy."""


class LargeReader:
    """Reads bodies one after the other, on the event loop; its parser's memory is used again."""

    def __init__(self) -> None:
        self._parser: Any = None

    def read(self, body: bytes) -> dict[str, Any] | None:
        """A body's object, where each input's flat `data` is an array of float64, int64 or uint64 [elements].

        None when the body has to be read the ordinary way, as any that nests deeper than an infer request has to: so
        the ordinary way's look for depth is not needed here.
        """
        import simdjson

        opened = np.count_nonzero(np.frombuffer(body, np.uint8) == _OPENING)  # five times as fast as bytes.count
        if opened > 2 + 2 * MOST_INPUTS:
            return None
        parser = self._parser or simdjson.Parser()
        self._parser = parser if len(body) <= _KEPT_BYTES else None
        try:
            payload = _plain(parser.parse(body), {"inputs", "outputs"})
            inputs = [_plain(item, {"data"}) for item in payload["inputs"]]
            expected = 1 + 2 * len(inputs)  # of inputs, shapes and data: then no data can be nested
            if payload.get("outputs") is not None:
                payload["outputs"] = [_plain(item, set()) for item in payload["outputs"]]
                expected += 1
            if opened != expected:
                return None
            for item in inputs:
                letter, dtype = _TYPES[item["datatype"]]
                item["data"] = np.frombuffer(item["data"].as_buffer(of_type=letter), dtype=dtype)
        except (ValueError, TypeError, LookupError, AttributeError, RuntimeError):
            self._parser = None  # what its objects refer to may be alive still, in a traceback
            return None
        payload["inputs"] = inputs
        return payload


def _plain(holder: Any, kept: set[str]) -> dict[str, Any]:
    """An object's members as Python's own, but for those that are kept for later.

    Raises KeyError for a name twice, and ValueError for a member that nests further.
    """
    members: dict[str, Any] = {}
    names = holder.keys()  # its `items` would make Python objects of all
    for name in names:
        if name in members:
            raise KeyError(name)
        value = holder[name]
        if name not in kept:
            if hasattr(value, "as_dict"):
                value = value.as_dict()
                _check_flat(value.values())
            elif hasattr(value, "as_list"):
                value = value.as_list()
                _check_flat(value)
        members[name] = value
    return members


def _check_flat(values: Iterable[Any]) -> None:
    if not {dict, list}.isdisjoint(map(type, values)):
        raise ValueError("an object or a list where a scalar was expected")
