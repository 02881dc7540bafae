"""What a fork takes: objects make their threads anew in the new process, and calls under way are over before it."""

import ctypes
import os
import threading
import time
import weakref
from collections.abc import Callable
from typing import Protocol

_FORK_WAITS_S = 1.0
_ON_THE_WAY_OUT_S = 0.05  # a library's thread that tells of a call's end is still within the library meanwhile


class Forkable(Protocol):
    """Holds threads, locks or connections."""

    def after_fork(self) -> None:
        """Makes them anew. Runs in the new process before anything else does, and must neither wait nor free them."""


_ALIVE: "weakref.WeakSet[Forkable]" = weakref.WeakSet()


def renew_after_fork(thing: Forkable) -> None:
    """Has `after_fork` called in each process that is forked while the object lives."""
    _ALIVE.add(thing)


def never_freed(thing: object) -> None:
    """For what belongs to the process that was forked: freeing it here would wait for threads that are there."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


def _renew_all() -> None:
    for thing in list(_ALIVE):
        thing.after_fork()


class CallsUnderWay:
    """Counts calls into a library that a fork breaks while they run. A fork waits for them, but not long."""

    def __init__(self) -> None:
        self.after_fork()
        renew_after_fork(self)
        _at_fork(before=self._rest, after_in_parent=self._go_on)

    def after_fork(self) -> None:
        """See `Forkable`."""
        self._changed = threading.Condition()
        self._count = 0
        self._ended_at = 0.0
        self._forking = False

    def began(self) -> None:
        """A call is about to begin; waits where the process is being forked."""
        with self._changed:
            self._changed.wait_for(lambda: not self._forking, _FORK_WAITS_S)
            self._count += 1

    def ended(self) -> None:
        """It has ended."""
        with self._changed:
            self._count -= 1
            self._ended_at = time.monotonic()
            self._changed.notify_all()

    def _rest(self) -> None:
        with self._changed:
            self._forking = True
            self._changed.wait_for(lambda: self._count <= 0, _FORK_WAITS_S)
        time.sleep(max(self._ended_at + _ON_THE_WAY_OUT_S - time.monotonic(), 0))

    def _go_on(self) -> None:
        with self._changed:
            self._forking = False
            self._changed.notify_all()


def _at_fork(**handlers: Callable[[], None]) -> None:
    if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
        os.register_at_fork(**handlers)


_at_fork(after_in_child=_renew_all)
