"""A library that takes SIGTERM for itself does not keep it."""

from __future__ import annotations

import ctypes
import os
import signal
import threading
from collections.abc import Iterator

import pytest

from haizen_runtime.backends.signals import give_back_sigterm
from tests.runtime.conftest import wait_for

IGNORED = 1
"""C's SIG_IGN."""


@pytest.fixture
def received() -> Iterator[list[int]]:
    """What a handler of Python's was called with; SIGINT has one, too, as it has in the server."""
    numbers: list[int] = []
    before = {number: signal.signal(number, lambda number, frame: numbers.append(number))
              for number in (signal.SIGTERM, signal.SIGINT)}  # fmt: skip
    yield numbers
    for number, handler in before.items():
        signal.signal(number, handler)


def take_and_give_back() -> None:
    ctypes.pythonapi.PyOS_setsig.argtypes = [ctypes.c_int, ctypes.c_void_p]
    ctypes.pythonapi.PyOS_setsig(signal.SIGTERM, IGNORED)  # as a library in C would
    os.kill(os.getpid(), signal.SIGTERM)
    give_back_sigterm()


def test_the_handler_is_called_again_after_an_import_on_another_thread(received: list[int]) -> None:
    thread = threading.Thread(target=take_and_give_back)
    thread.start()
    thread.join()
    assert received == []  # what came in between was the library's
    os.kill(os.getpid(), signal.SIGTERM)
    wait_for(lambda: received == [signal.SIGTERM])


def test_without_a_handler_nothing_changes() -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        give_back_sigterm()
        os.kill(os.getpid(), signal.SIGTERM)  # would end the process
    finally:
        signal.signal(signal.SIGTERM, before)
