"""BYTES tensors as the strings that libraries take, and back."""

from __future__ import annotations

from typing import Any

import numpy as np

from haizen_runtime.protocol.errors import InvalidInput

Array = np.ndarray[Any, Any]


def texts_of(array: Array) -> Array:
    """An object array of str from one of bytes (UTF-8). Raises InvalidInput for what is no text."""
    flat = np.empty(array.size, dtype=object)
    for index, value in enumerate(array.ravel()):
        try:
            flat[index] = value.decode() if isinstance(value, bytes) else str(value)
        except UnicodeDecodeError:
            raise InvalidInput("A string in the input is not UTF-8 text.") from None
    return flat.reshape(array.shape)


def bytes_of(array: Array) -> Array:
    """An object array of bytes (UTF-8) from strings of any kind."""
    flat = np.empty(array.size, dtype=object)
    for index, value in enumerate(array.ravel()):
        flat[index] = value if isinstance(value, bytes) else str(value).encode()
    return flat.reshape(array.shape)
