"""What a model process asks of its machine and sets for itself: cores, memory, a trace where it hangs or crashes."""

import ctypes
import faulthandler
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # mallopt(3)
_LARGEST_BYTES = 2**25  # the largest that glibc's own, growing threshold reaches

_STUCK_AFTER_S = 45.0
_STANDARD_ERROR = 2


def usable_cores(cgroups: Path = _CGROUPS) -> int:
    """Cores this process may run on: its affinity, and the whole cores of its container's quota (cgroup v2 or v1)."""
    cores = len(os.sched_getaffinity(0))
    for files in (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):
        with suppress(OSError, ValueError, ZeroDivisionError):  # no quota
            quota, period = " ".join((cgroups / file).read_text(encoding="ascii") for file in files).split()
            if int(quota) > 0:
                cores = min(cores, int(quota) // int(period))
    return max(cores, 1)


def keep_large_blocks() -> None:
    """Undoes MALLOC_MMAP_THRESHOLD_ of the server for this process, and keeps up to 64 MiB that were freed.

    The server gets a low threshold, so that the buffers of requests of many sizes go back to the system when they are
    freed. A model process works on arrays of few sizes again and again: to map each of them anew would cost more than
    the work on the small ones. A heap that shrinks with each freed array costs 1 to 4 ms for a 720p frame.
    Where the C library has no mallopt, nothing happens.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGEST_BYTES)
        mallopt(_M_TRIM_THRESHOLD, 2 * _LARGEST_BYTES)  # glibc's own proportion, which the first call ends


def show_crashes() -> None:
    """Has a crash of native code write the Python stacks of all threads to what is the standard error now.

    It keeps a descriptor of its own: number 2 leads nowhere while MediaPipe loads and ends (`preprocessing.quiet`).
    Where the standard error is closed, nothing happens.
    """
    with suppress(OSError):
        faulthandler.enable(os.dup(_STANDARD_ERROR))


@contextmanager
def show_where_stuck(after_s: float = _STUCK_AFTER_S) -> Iterator[None]:
    """Writes the stacks of all threads to the standard error once, if its body takes longer than that; nothing ends.

    A model process that hangs leaves no other trace: Triton waits for it and says nothing. A process can watch one body
    at a time.
    """
    faulthandler.dump_traceback_later(after_s, file=_STANDARD_ERROR)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
