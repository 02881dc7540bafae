"""Says where a model that does not come up is stuck."""

import faulthandler
from collections.abc import Iterator
from contextlib import contextmanager

STUCK_AFTER_S = 45.0
_STANDARD_ERROR = 2


@contextmanager
def show_where_stuck(after_s: float = STUCK_AFTER_S) -> Iterator[None]:
    """Writes the stacks of all threads to the standard error once, if its body takes longer than that; nothing ends.

    A model process that hangs leaves no other trace: Triton waits for it without a word. One of a process at a time.
    """
    faulthandler.dump_traceback_later(after_s, file=_STANDARD_ERROR)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
