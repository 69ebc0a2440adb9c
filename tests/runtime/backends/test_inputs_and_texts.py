"""Inputs made up for warm-ups, and strings on their way to libraries and back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from haizen_runtime.backends.made_up import zeros
from haizen_runtime.backends.texts import bytes_of, texts_of
from haizen_runtime.protocol.errors import InvalidInput
from haizen_runtime.protocol.messages import TensorMetadata


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        pytest.param((-1, 4), (3, 4), id="open-batch"),
        pytest.param((2, 4), (2, 4), id="fixed"),
        pytest.param((-1,), (3,), id="one-axis"),
        pytest.param((), (), id="scalar"),
        pytest.param((-1, 3, -1, -1), None, id="image-of-any-size"),
    ],
)
@pytest.mark.parametrize("datatype", ["FP32", "INT64", "BOOL", "BYTES", "BF16"])
def test_zeros_of_the_models_shape(shape: tuple[int, ...], expected: tuple[int, ...] | None, datatype: str) -> None:
    arrays = zeros([TensorMetadata("x", datatype, shape)], 3)
    if expected is None:
        assert arrays is None
    else:
        assert arrays is not None
        assert arrays["x"].shape == expected
        assert set(arrays["x"].ravel().tolist()) <= {b"" if datatype == "BYTES" else 0}


@given(st.lists(st.text(), min_size=1, max_size=8))
def test_texts_come_back_as_they_were(texts: list[str]) -> None:
    as_bytes = np.empty((1, len(texts)), dtype=object)
    as_bytes[0, :] = [text.encode() for text in texts]
    decoded = texts_of(as_bytes)
    assert decoded.tolist() == [texts]
    assert bytes_of(decoded).tolist() == as_bytes.tolist()


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(InvalidInput, match="not UTF-8"):
        texts_of(np.array([b"good", b"\xff"], dtype=object))
