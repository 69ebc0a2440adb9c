"""Tensors and messages between two processes: what goes in comes out, and what is no message is told."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as np_st

from haizen_runtime.protocol.errors import InvalidInput
from haizen_runtime.workers.channel import MAX_MESSAGE_BYTES, BrokenChannel, receive, send
from haizen_runtime.workers.segments import BrokenSegment, map_segment, write_segment
from haizen_runtime.workers.tensors import INLINE_BYTES, pack, unpack

DTYPES = [np.dtype(name) for name in ("?", "u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8")]
ARRAYS = st.sampled_from(DTYPES).flatmap(lambda dtype: np_st.arrays(dtype, np_st.array_shapes(min_dims=0, min_side=0)))
TEXTS = st.lists(st.binary(max_size=20), max_size=8).map(lambda items: np.array([*items, None], dtype=object)[:-1])


def round_trip(arrays: dict[str, Any], writable: bool = True) -> dict[str, Any]:
    described, segment = pack(arrays)
    return unpack(msgpack.unpackb(msgpack.packb(described)), segment, writable)


def assert_same(left: dict[str, Any], right: dict[str, Any]) -> None:
    assert list(left) == list(right)
    for name, array in left.items():
        assert (array.dtype, array.shape) == (right[name].dtype, right[name].shape)
        assert array.tobytes() == right[name].tobytes() if array.dtype != object else list(array) == list(right[name])


@settings(deadline=None)
@given(st.dictionaries(st.text(max_size=10), ARRAYS | TEXTS, max_size=4))
def test_small_tensors_come_back(arrays: dict[str, Any]) -> None:
    assert_same(arrays, round_trip(arrays))


@pytest.mark.parametrize("writable", [True, False])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_large_tensors_come_back_aligned(dtype: np.dtype[Any], writable: bool) -> None:
    random = np.random.default_rng(1)
    large = random.integers(0, 2, (3, INLINE_BYTES)).astype(dtype)
    arrays = {"odd": np.ones(3, np.uint8), "large": large, "strided": large[::2, ::3], "empty": large[:0]}
    result = round_trip(arrays, writable)
    assert_same(arrays, result)
    assert all(array.flags.aligned for array in result.values())
    if writable:
        result["large"][0] = 1  # a private copy of the page, whatever the sender does
        assert large.tobytes() == arrays["large"].tobytes()


def test_64_megabytes_come_back_and_leave_no_descriptor() -> None:
    before = memory_files()
    array = np.random.default_rng(2).standard_normal(8_000_000)
    result = round_trip({"x": array})
    assert np.array_equal(result["x"], array)
    del result
    assert memory_files() == before


def memory_files() -> list[str]:
    """What this process has open of memory that can be shared; other descriptors come and go on other threads."""
    targets = []
    for each in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # closed just now
            targets.append(os.readlink(f"/proc/self/fd/{each}"))
    return [target for target in targets if target.startswith("/memfd:")]


def test_messages_and_descriptors_arrive_in_order() -> None:
    left, right = socket.socketpair()
    with left, right:

        def speak() -> None:
            for number in range(50):
                segment = write_segment([(0, bytes([number]))], 1) if number % 3 == 0 else None
                send(left, {"number": number, "text": "x" * (number * 5000)}, segment)
            left.shutdown(socket.SHUT_WR)

        speaker = threading.Thread(target=speak)
        speaker.start()
        for number in range(50):
            received = receive(right)
            assert received is not None
            message, descriptor = received
            assert (message["number"], len(message["text"])) == (number, number * 5000)
            assert (descriptor is not None) == (number % 3 == 0)
            if descriptor is not None:
                assert bytes(map_segment(descriptor, False)) == bytes([number])
        assert receive(right) is None
        speaker.join()


@pytest.mark.parametrize(
    ("sent", "says"),
    [
        pytest.param(b"\x01", "in the middle", id="half-a-head"),
        pytest.param(b"\x05\x00\x00\x00\x00\x00\x00\x00\x01", "in the middle", id="half-a-message"),
        pytest.param(b"\x01\x00\x00\x00\x00\x00\x00\x00\xc1", "no msgpack", id="no-msgpack"),
        pytest.param(b"\x01\x00\x00\x00\x00\x00\x00\x00\x01", "no map", id="no-map"),
        pytest.param((MAX_MESSAGE_BYTES + 1).to_bytes(4, "little") + bytes(4), "cannot be", id="too-long"),
        pytest.param(b"\x01\x00\x00\x00\x01\x00\x00\x00\x80", "with 1 descriptors", id="no-descriptor"),
    ],
)
def test_what_is_no_message(sent: bytes, says: str) -> None:
    left, right = socket.socketpair()
    with left, right:
        left.sendall(sent)
        left.shutdown(socket.SHUT_WR)
        with pytest.raises(BrokenChannel, match=says):
            receive(right)


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_random_bytes_are_an_end_or_an_error(sent: bytes) -> None:
    left, right = socket.socketpair()
    with left, right:
        left.sendall(sent)
        left.shutdown(socket.SHUT_WR)
        with contextlib.suppress(BrokenChannel):
            while receive(right) is not None:
                pass


VALUES = st.recursive(
    st.none() | st.integers(-(2**40), 2**40) | st.text(max_size=5) | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=6),
)


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.just("x"), st.sampled_from(["FP32", "BYTES", "BOOL", "no"]), VALUES, VALUES, VALUES, VALUES))
)
def test_nonsense_about_tensors_is_an_error(described: list[Any]) -> None:
    segment = write_segment([(0, bytes(64))], 64)
    with contextlib.suppress(ValueError, TypeError, InvalidInput):
        unpack([list(each) for each in described], segment, False)


def test_memory_that_its_sender_could_shorten_is_refused() -> None:
    before = memory_files()
    memory = os.memfd_create("unsealed")
    assert len(memory_files()) == len(before) + 1
    os.ftruncate(memory, 4096)
    with pytest.raises(BrokenSegment, match="not sealed"):
        map_segment(memory, False)
    assert memory_files() == before


def test_a_descriptor_that_is_no_memory_is_refused() -> None:
    read, write = os.pipe()
    os.close(write)
    with pytest.raises(BrokenSegment, match="no shared memory"):
        map_segment(read, False)


def test_sealed_memory_stays_as_it_is() -> None:
    segment = write_segment([(0, b"abc"), (64, b"def")], 67)
    with pytest.raises(PermissionError):
        os.ftruncate(segment, 1)
    with pytest.raises(PermissionError):
        os.pwrite(segment, b"x", 0)
    assert bytes(map_segment(segment, True)[64:]) == b"def"
