"""Reads the signal stack of a thread."""

import ctypes

from runtime.openvino_core import SignalStack

SS_DISABLE = 2  # sigaltstack(2)


def signal_stack() -> int | None:
    """Address of the calling thread's alternate signal stack; None without one."""
    now = SignalStack()
    ctypes.CDLL(None).sigaltstack(None, ctypes.byref(now))
    return None if now.ss_flags & SS_DISABLE else now.ss_sp
