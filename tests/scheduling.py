"""Keeps how a process is scheduled across libraries that change it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def kept_scheduling() -> Iterator[None]:
    """Gives the main and the calling thread the scheduling back that they had before.

    SVT-AV1 makes the process that encodes with it real-time (SCHED_FIFO, 99) where it runs as root, and leaves it so:
    every process started afterwards inherits that and starves all others.
    """
    threads = {os.getpid(), 0}  # 0: the calling one
    before = {thread: (os.sched_getscheduler(thread), os.sched_getparam(thread)) for thread in threads}
    try:
        yield
    finally:
        for thread, (policy, parameter) in before.items():
            os.sched_setscheduler(thread, policy, parameter)
