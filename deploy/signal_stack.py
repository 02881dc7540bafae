"""Lets signals of this thread use its ordinary stack again."""

import ctypes

_SS_DISABLE = 2  # sigaltstack(2)


class _SignalStack(ctypes.Structure):
    """`stack_t` of Linux."""

    _fields_ = (("ss_sp", ctypes.c_void_p), ("ss_flags", ctypes.c_int), ("ss_size", ctypes.c_size_t))


def use_ordinary_signal_stack() -> None:
    """Drops the calling thread's alternate signal stack.

    OpenVINO's CPU plugin registers one where the processor has AMX, and puts the one before it back when a model goes.
    With several models, gone in another order than they came, that one was freed long ago, and Python's handlers, which
    run on it, end the process with SIGSEGV at the first Ctrl-C.
    """
    ctypes.CDLL(None).sigaltstack(ctypes.byref(_SignalStack(None, _SS_DISABLE, 0)), None)
