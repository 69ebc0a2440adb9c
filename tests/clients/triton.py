"""One face for the four Triton clients: each has the same calls, as functions or as coroutines."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Awaitable
from typing import Any

import numpy as np
import pytest
from tritonclient.utils import InferenceServerException

NAMES = ("http", "http.aio", "grpc", "grpc.aio")


class Triton:
    """A client of one kind."""

    def __init__(self, name: str, target: str) -> None:
        self.name = name
        self.module = importlib.import_module(f"tritonclient.{name}")
        self.client = self.module.InferenceServerClient(target)

    @property
    def is_grpc(self) -> bool:
        return self.name.startswith("grpc")

    async def call(self, method: str, *arguments: Any, **options: Any) -> Any:
        """The method's result, whichever kind of function it is."""
        return await settled(getattr(self.client, method)(*arguments, **options))

    async def json(self, method: str, *arguments: Any) -> Any:
        """The result as the HTTP clients give it; protobuf writes 64-bit integers as strings."""
        if not self.is_grpc:
            return await self.call(method, *arguments)
        return numbers(await self.call(method, *arguments, as_json=True))

    async def refused(self, method: str, *arguments: Any, **options: Any) -> tuple[str, str]:
        """The status and the message of a call that must fail."""
        with pytest.raises(InferenceServerException) as caught:
            await self.call(method, *arguments, **options)
        return str(caught.value.status()), caught.value.message()

    def input(self, name: str, datatype: str, array: Any, **options: Any) -> Any:
        """An input with its data."""
        tensor = self.module.InferInput(name, list(array.shape), datatype)
        tensor.set_data_from_numpy(array, **options)
        return tensor

    def output(self, name: str, **options: Any) -> Any:
        """A requested output."""
        return self.module.InferRequestedOutput(name, **options)

    def compressed(self, algorithm: str) -> dict[str, str]:
        """The arguments that compress a request (and its answer)."""
        if self.is_grpc:
            return {"compression_algorithm": algorithm}
        return {"request_compression_algorithm": algorithm, "response_compression_algorithm": algorithm}


async def settled(result: Awaitable[Any] | Any) -> Any:
    return await result if inspect.isawaitable(result) else result


def numbers(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: each if key in ("name", "version") else numbers(each) for key, each in value.items()}
    if isinstance(value, list):
        return [numbers(each) for each in value]
    return int(value) if isinstance(value, str) and re.fullmatch(r"-?\d+", value) else value


def values_of(datatype: str) -> Any:
    """Two rows of a datatype, with its extremes."""
    if datatype == "BYTES":
        return np.array([[b"", "wört".encode()], [b"\0", b"b" * 300]], dtype=object)
    if datatype == "BOOL":
        return np.array([[True, False], [False, True]])
    dtype = np.dtype({"FP16": "float16", "FP32": "float32", "FP64": "float64"}.get(datatype, datatype.lower()))
    limits = np.finfo(dtype) if dtype.kind == "f" else np.iinfo(dtype)
    return np.array([[limits.min, limits.max], [0, 1]], dtype)
