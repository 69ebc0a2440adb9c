"""SIGTERM, which is the server's own (it drains), back from libraries that take it."""

from __future__ import annotations

import ctypes
import signal


def give_back_sigterm() -> None:
    """Let SIGTERM call Python's handler again, where there is one, after native code put its own in the place.

    Works on any thread, which `signal.signal` does not: C has one function for every signal with a handler of Python,
    and SIGINT's is it.
    """
    if callable(signal.getsignal(signal.SIGTERM)) and callable(signal.getsignal(signal.SIGINT)):
        get, put = ctypes.pythonapi.PyOS_getsig, ctypes.pythonapi.PyOS_setsig
        get.argtypes, get.restype = [ctypes.c_int], ctypes.c_void_p
        put.argtypes, put.restype = [ctypes.c_int, ctypes.c_void_p], ctypes.c_void_p
        put(signal.SIGTERM, get(signal.SIGINT))
        signal.siginterrupt(signal.SIGTERM, False)
