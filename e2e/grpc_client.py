"""One inference over gRPC as any client of the Open Inference Protocol sends it, with raw contents."""

from typing import Any

import grpc
import numpy as np

from haizen_runtime.protocol.wire import LENGTH, bytes_field, key, packed_field, read_fields, text_field

SERVICE = "/inference.GRPCInferenceService"
Array = np.ndarray[Any, Any]


def infer_request(model: str, name: str, datatype: str, array: Array) -> bytes:
    """A ModelInferRequest with one input."""
    tensor = text_field(1, name) + text_field(2, datatype) + packed_field(3, array.shape)
    return text_field(1, model) + bytes_field(5, tensor) + bytes_field(7, array.tobytes())


def raw_outputs(response: bytes) -> list[bytes]:
    """The raw contents of a ModelInferResponse (its field 6)."""
    fields = read_fields(response, 0, len(response))
    return [response[start:end] for found, start, end in fields if found == key(6, LENGTH)]


def infer(address: str, authority: str, request: bytes, timeout_seconds: float = 60.0) -> bytes:
    """Call ModelInfer at `address` (host:port) for the host `authority`; raises grpc.RpcError."""
    with grpc.insecure_channel(address, options=[("grpc.default_authority", authority)]) as channel:
        call = channel.unary_unary(f"{SERVICE}/ModelInfer")
        answer: bytes = call(request, timeout=timeout_seconds, wait_for_ready=True)
    return answer
