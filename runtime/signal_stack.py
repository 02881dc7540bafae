"""Keeps OpenVINO from leaving a thread with a signal stack that is gone."""

import contextlib
import ctypes
import gc
from collections.abc import Iterator

_SS_DISABLE = 2  # sigaltstack(2)


class _SignalStack(ctypes.Structure):
    """`stack_t` of Linux."""

    _fields_ = (("ss_sp", ctypes.c_void_p), ("ss_flags", ctypes.c_int), ("ss_size", ctypes.c_size_t))


@contextlib.contextmanager
def signal_stack_restored() -> Iterator[None]:
    """Restores the calling thread's alternate signal stack afterwards.

    Each `openvino.Core` registers such a stack for the thread in which its CPU plugin loads. When the core is freed, it
    puts back the stack that it found. Cores that are freed in the order of their making leave a stack that was freed
    with an earlier one, and the next signal that has a handler ends the process with SIGSEGV. Nothing needs the stack:
    a thread without one handles signals on its ordinary stack.
    """
    libc = ctypes.CDLL(None)
    before = _SignalStack()
    libc.sigaltstack(None, ctypes.byref(before))
    try:
        yield
    finally:
        gc.collect()  # a core that is freed later would put its stack back
        if not before.ss_sp:
            before = _SignalStack(None, _SS_DISABLE, 0)
        libc.sigaltstack(ctypes.byref(before), None)


def signal_stack() -> int | None:
    """Address of the calling thread's alternate signal stack; None without one."""
    now = _SignalStack()
    ctypes.CDLL(None).sigaltstack(None, ctypes.byref(now))
    return None if now.ss_flags & _SS_DISABLE else now.ss_sp
