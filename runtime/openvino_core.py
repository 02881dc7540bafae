"""OpenVINO without its telemetry, the one core of this process, and the signal stack that each core changes.

Each `openvino.Core` registers an alternate signal stack for the thread in which its CPU plugin loads. When the core is
freed, it puts back the stack that it found. Cores that are freed in the order of their making leave a stack that was
freed with an earlier one, and the next signal that has a handler ends the process with SIGSEGV. Nothing needs the
stack: a thread without one handles signals on its ordinary stack.

With its telemetry OpenVINO would tell Google Analytics of each process that imports it. A thread of it would fork the
process meanwhile, whatever the other threads are at. Import OpenVINO from here, or after this module.
"""

import contextlib
import ctypes
import functools
import gc
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any

from numpy.typing import NDArray

sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # it has no setting to turn it off
import openvino  # noqa: E402

_LOCK = threading.Lock()


class SignalStack(ctypes.Structure):
    """`stack_t` of Linux."""

    _fields_ = (("ss_sp", ctypes.c_void_p), ("ss_flags", ctypes.c_int), ("ss_size", ctypes.c_size_t))


def openvino_core() -> Any:
    """The process's `openvino.Core`: made at the first call and never freed, which costs less than one per model."""
    with _LOCK:
        return _only_core()


def shared_tensor(array: NDArray[Any]) -> Any:
    """An `openvino.Tensor` over the memory of a C-contiguous array. A request that gets it keeps neither alive."""
    return openvino.Tensor(array, shared_memory=True)


@functools.cache
def _only_core() -> Any:
    with signal_stack_restored():
        core = openvino.Core()
        core.get_property("CPU", "FULL_DEVICE_NAME")  # loads the plugin, which registers the stack
    return core


@contextlib.contextmanager
def signal_stack_restored() -> Iterator[None]:
    """Restores the calling thread's alternate signal stack afterwards, for libraries that make cores of their own."""
    libc = ctypes.CDLL(None)
    # Until the stack is restored, signals wait, or go to threads that have no such stack.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD})
    before = SignalStack()
    libc.sigaltstack(None, ctypes.byref(before))
    try:
        yield
    finally:
        gc.collect()  # a core that is freed later would put its stack back
        libc.sigaltstack(ctypes.byref(before), None)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
