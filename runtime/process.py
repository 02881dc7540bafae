"""What a model process asks of its machine and sets for itself: cores, memory, and a trace where it hangs."""

import ctypes
import faulthandler
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")

_M_MMAP_THRESHOLD = -3  # mallopt(3)
_LARGEST_BYTES = 2**25  # the largest that glibc's own, growing threshold reaches

_STUCK_AFTER_S = 45.0
_STANDARD_ERROR = 2


def usable_cores(quota_file: Path = _CGROUP_QUOTA) -> int:
    """Cores this process may run on: its affinity, and the whole cores of its container's quota (cgroup v2)."""
    cores = len(os.sched_getaffinity(0))
    try:
        quota, period = quota_file.read_text(encoding="ascii").split()
        cores = min(cores, int(quota) // int(period))
    except (OSError, ValueError, ZeroDivisionError):
        pass  # no quota
    return max(cores, 1)


def keep_large_blocks() -> None:
    """Undoes MALLOC_MMAP_THRESHOLD_ of the server for this process.

    The server gets a low threshold, so that the buffers of requests of many sizes go back to the system when they are
    freed. A model process works on arrays of few sizes again and again: to map each of them anew would cost more than
    the work on the small ones. Where the C library has no mallopt, nothing happens.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGEST_BYTES)


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
