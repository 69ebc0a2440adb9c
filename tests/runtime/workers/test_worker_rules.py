"""The pure parts: restarts, errors of model code as statuses, returned values as tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from haizen_runtime.protocol.errors import GrpcStatus, InferenceFailed, InvalidInput, ModelNotReady
from haizen_runtime.workers.failures import as_error, described
from haizen_runtime.workers.restarts import CAP_SECONDS, RestartPolicy
from haizen_runtime.workers.results import as_outputs


def test_the_first_end_is_replaced_at_once_and_the_wait_doubles() -> None:
    policy = RestartPolicy()
    assert [policy.ended() for _ in range(5)] == [0.0, 0.5, 1.0, 2.0, 4.0]
    assert policy.looping
    assert max(policy.ended() for _ in range(2000)) == CAP_SECONDS
    policy.answered()
    assert (policy.looping, policy.ended(), policy.restarts) == (False, 0.0, 2006)


def foreign(name: str, module: str, *arguments: object, **attributes: object) -> Exception:
    error: Exception = type(name, (Exception,), {"__module__": module})(*arguments)
    vars(error).update(attributes)
    return error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        pytest.param(InvalidInput("no"), (400, "no"), id="ours"),
        pytest.param(ModelNotReady("later"), (503, "later"), id="ours-503"),
        pytest.param(foreign("InvalidInput", "kserve.errors", "no"), (400, "no"), id="kserve-400"),
        pytest.param(foreign("ModelNotReady", "kserve.errors", "later"), (503, "later"), id="kserve-503"),
        pytest.param(foreign("InvalidInput", "other", "no"), (500, "The model failed: InvalidInput: no"), id="other"),
        pytest.param(foreign("HTTPException", "starlette.exceptions", status_code=429, detail="slow down"),
                     (429, "slow down"), id="starlette"),
        pytest.param(foreign("HTTPException", "fastapi.exceptions", status_code=200, detail="odd"), (500, "odd"),
                     id="starlette-odd"),
        pytest.param(foreign("OutOfMemoryError", "torch", "CUDA at 0x1"),
                     (503, "The model ran out of memory on this request."), id="torch-memory"),
        pytest.param(MemoryError(), (503, "The model ran out of memory on this request."), id="memory"),
        pytest.param(ValueError("one\ntwo"), (500, "The model failed: ValueError: one"), id="first-line"),
        pytest.param(ValueError(), (500, "The model failed: ValueError"), id="no-text"),
        pytest.param(SystemExit(3), (500, "The model failed: its code called sys.exit."), id="exit"),
    ],
)  # fmt: skip
def test_exceptions_have_a_status(error: BaseException, expected: tuple[int, str]) -> None:
    assert described(error) == expected


@pytest.mark.parametrize(
    ("status", "http", "grpc"),
    [
        pytest.param(400, 400, GrpcStatus.INVALID_ARGUMENT, id="400"),
        pytest.param(404, 404, GrpcStatus.NOT_FOUND, id="404"),
        pytest.param(422, 422, GrpcStatus.INVALID_ARGUMENT, id="422"),
        pytest.param(429, 429, GrpcStatus.RESOURCE_EXHAUSTED, id="429"),
        pytest.param(500, 500, GrpcStatus.INTERNAL, id="500"),
        pytest.param(503, 503, GrpcStatus.UNAVAILABLE, id="503"),
        pytest.param(502, 502, GrpcStatus.INTERNAL, id="502"),
        pytest.param(200, 500, GrpcStatus.INTERNAL, id="success-is-none"),
        pytest.param("x", 500, GrpcStatus.INTERNAL, id="no-number"),
    ],
)
def test_a_status_comes_back_as_an_error(status: object, http: int, grpc: GrpcStatus) -> None:
    error = as_error(status, "text")
    assert (error.status, error.grpc_status, error.message) == (http, grpc, "text")


class Tensor:
    """As torch's behaves."""

    def __init__(self, values: list[float], on: str = "cuda") -> None:
        self.values, self.on = values, on

    def detach(self) -> Tensor:
        return self

    def cpu(self) -> Tensor:
        return Tensor(self.values, "cpu")

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        assert self.on == "cpu"
        return np.array(self.values, dtype)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param([1, 2], {"output-0": [1, 2]}, id="list"),
        pytest.param(np.float32(2.5), {"output-0": [2.5]}, id="scalar"),
        pytest.param("text", {"output-0": [b"text"]}, id="text"),
        pytest.param(np.array(["a", "é"]), {"output-0": [b"a", "é".encode()]}, id="texts"),
        pytest.param(["a", 1], {"output-0": [b"a", b"1"]}, id="mixed"),
        pytest.param({"predictions": [[1.5]]}, {"output-0": [[1.5]]}, id="v1"),
        pytest.param({"predictions": [{"a": 1}, {"a": 2}]}, {"a": [1, 2]}, id="v1-rows"),
        pytest.param([{"a": 1}, {"b": 2}], {"output-0": [b'{"a": 1}', b'{"b": 2}']}, id="rows-of-other-names"),
        pytest.param([{"a": {"b": 1}}], {"a": [b'{"b": 1}']}, id="nested"),
        pytest.param({"x": Tensor([1.0])}, {"x": [1.0]}, id="torch"),
        pytest.param(np.array([1, 2], dtype=">i4"), {"output-0": [1, 2]}, id="big-endian"),
        pytest.param([], {"output-0": []}, id="empty"),
    ],
)
def test_returned_values_are_tensors(value: Any, expected: dict[str, Any]) -> None:
    outputs = as_outputs(value)
    assert {name: array.tolist() for name, array in outputs.items()} == expected
    assert all(array.dtype.isnative and array.ndim for array in outputs.values())


@pytest.mark.parametrize(
    ("value", "says"),
    [
        pytest.param(None, "returned nothing", id="none"),
        pytest.param({}, "without outputs", id="empty"),
        pytest.param([[1], [1, 2]], "rows of different lengths", id="ragged"),
        pytest.param(np.array([1j]), "complex128, which no datatype can carry", id="complex"),
    ],
)
def test_what_no_tensor_can_hold(value: Any, says: str) -> None:
    with pytest.raises(InferenceFailed, match=says):
        as_outputs(value)
